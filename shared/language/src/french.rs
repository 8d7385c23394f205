use shared::{
    age::Span,
    verdict::{Fault, ModelRefusal, Refusal, SiteRefusal, SoftwareRefusal, Trust, Verdict},
};

use super::{Console, Notice, Step, StickTrouble, Words, children};

pub(crate) static WORDS: Words = Words {
    disclaimer: "Outil de recherche, pas un dispositif médical",
    synthetic: "MODÈLE SYNTHÉTIQUE : AUCUNE VALEUR MÉDICALE",
    unsigned: "DÉVELOPPEMENT : MODÈLES NON SIGNÉS ACCEPTÉS",
    test_key: "CLÉ D'ESSAI : N'IMPORTE QUI PEUT SIGNER",
    test_key_fell_back: "CLÉ D'ESSAI ; UN AUTRE MODÈLE ÉTAIT PRÉVU",
    fell_back: "MODÈLE INUTILISABLE : UN AUTRE JUGE",
    model: "Modèle",
    starting: "DÉMARRAGE",
    step: |step| match step {
        Step::Drivers => "Chargement des pilotes",
        Step::Storage => "Ouverture du stockage",
        Step::Model => "Chargement du modèle",
        Step::Lines => "Ouverture des liaisons",
    },
    stopped: Notice { word: "ARRÊTÉ", meaning: "Le boîtier a été arrêté" },
    ready: Notice { word: "PRÊT", meaning: "Envoyez une radiographie" },
    blanked: Notice { word: "PRÊT", meaning: "Le dernier résultat est parmi les résultats passés" },
    pairing: Notice { word: "CODE", meaning: "Pour un ordinateur qui veut lire les résultats" },
    results: "Résultats",
    changed: "Nouveau modèle",
    program_changed: "Nouveau programme",
    program_staged: "Nouveau programme : éteignez et rallumez le boîtier",
    program_went_back: "Nouveau programme non démarré : l'ancien continue",
    settings_staged: "Autres réglages : éteignez et rallumez le boîtier",
    settings_new: "De nouveaux réglages sont en vigueur",
    settings_not_used: "Les réglages envoyés sont inutilisables",
    settings_key_added: "Clé ajoutée : renvoyez les réglages",
    signed: |trust| match trust {
        Trust::Signed => "signé",
        Trust::BuiltIn => "intégré",
        Trust::TestKey => "CLÉ D'ESSAI",
        Trust::Unsigned => "non signé",
    },
    digest: "Empreinte",
    version: "Version",
    receiving: "RÉCEPTION",
    updating: "MISE À JOUR",
    updating_program: "NOUVEAU PROGRAMME",
    analysing: Notice { word: "ANALYSE", meaning: "Veuillez patienter" },
    verdict: |verdict| match verdict {
        Verdict::Normal => Notice { word: "NORMAL", meaning: "Pas de pneumonie visible,\nmais pas exclue" },
        Verdict::Pneumonia => Notice { word: "PNEUMONIE", meaning: "Pneumonie suspectée" },
        Verdict::Refer => Notice { word: "À RÉFÉRER", meaning: "Un clinicien doit décider" },
    },
    probability: ["Probabilité", "de pneumonie"],
    decimal: ",",
    threshold: "Seuil {} %",
    band: "À référer de {} à {} %",
    of_pneumonia: "Sur 100 pneumonies",
    of_normal: "Sur 100 images normales",
    said: "{} : {} dites normales, {} à référer, {} dites pneumonie",
    measured_on: |hospitals| match hospitals {
        None => "sur des images de test d'hôpitaux inconnus".to_owned(),
        Some(1) => "sur des images de test d'un seul hôpital".to_owned(),
        Some(n) => format!("sur des images de test de {n} hôpitaux"),
    },
    exam: "Examen",
    nth: |n| format!("{n}e image de cet examen"),
    record: "Résultat",
    prepared: "préparée",
    span: |span| match span {
        Span::Months(months) => format!("{months} mois"),
        Span::Years(years @ 0..=1) => format!("{years} an"),
        Span::Years(years) => format!("{years} ans"),
    },
    either: "{} ou {}",
    patient_age: "Âge : {}",
    age_unknown: "Âge inconnu",
    age_overridden: "Âge ignoré : {}",
    meant: |ages| match ages {
        Some([from, to]) => format!(
            "Modèle prévu pour {} de {from} à {to} ans",
            if children(to) { "des enfants" } else { "des patients" }
        ),
        None => "On ignore pour quels âges le modèle est prévu".to_owned(),
    },
    now: "à l'instant",
    minutes_ago: "il y a {} min",
    hours_ago: "il y a {} h",
    past: "RÉSULTAT PASSÉ : {}",
    caption: ["Contours : où le modèle a regardé.", "Ce n'est pas un diagnostic."],
    not_judged: "NON ANALYSÉE",
    error: "ERREUR",
    safe_mode: "MODE SANS ÉCHEC",
    code: "Code",
    refusal: |refusal| refused(refusal).to_owned(),
    fault: |fault| failed(fault).to_owned(),
    model_refusal: |refusal| not_installed(refusal).to_owned(),
    software_refusal: |refusal| not_taken(refusal).to_owned(),
    site_refusal: |refusal| not_changed(refusal).to_owned(),
    line_lost: "la liaison avec l'ordinateur est coupée: rebranchez le câble ; le boîtier reprend tout seul",
    safe: "le programme du boîtier a échoué plusieurs fois et n'analyse plus rien: récupérez les résultats, puis coupez le courant et rallumez-le ; si cela revient, réécrivez la carte",
    no_storage: "les résultats ne peuvent pas être enregistrés, rien n'est analysé: récupérez les résultats, puis changez la carte mémoire",
    chain_broken: "des résultats enregistrés ont été modifiés ou perdus: récupérez les résultats et prévenez le responsable du boîtier",
    console: |reason| match reason {
        Console::NotCalled => {
            "l'appareil de radiographie nous appelle {}, nous sommes {}: entrez-y {} comme titre AE appelé"
        }
        Console::NotNamed => {
            "l'appareil de radiographie se nomme {}, les réglages du boîtier disent autre chose: corrigez l'un des deux"
        }
        Console::Stranger => {
            "un appareil à l'adresse {} a voulu envoyer sans en avoir le droit: ajoutez son adresse à `peers` dans les réglages du boîtier"
        }
        Console::Unfit => {
            "rien de ce que propose {} ne peut être analysé: envoyez sans compression, comme CR, DX ou Secondary Capture"
        }
    },
    journal: "Journal",
    broken: "modifié avant {}",
    stick: "RADIOGRAPHIES SUR LA CLÉ",
    newest: "la plus récente",
    stick_countdown: "La plus récente sera analysée dans {} s. Les flèches en choisissent une autre.",
    stick_choose: "Entrée analyse celle-ci, Échap quitte la liste.",
    stick_reading: "Lecture de la clé. Ne la retirez pas.",
    stick_marked: "SUR LA CLÉ",
    stick_program: "Prendre le nouveau programme {}",
    stick_results: "Écrire les résultats sur cette clé",
    stick_take: "Entrée fait ce qui est choisi, Échap quitte la liste.",
    results_asked: Notice {
        word: "ÉCRIRE LES RÉSULTATS ?",
        meaning: "le boîtier a {} résultats: appuyez sur Entrée pour les écrire sur la clé, ou retirez-la pour quitter",
    },
    results_writing: "ÉCRITURE DES RÉSULTATS",
    results_done: "{} sur {}",
    results_written: Notice {
        word: "RÉSULTATS ÉCRITS",
        meaning: "ils sont dans le dossier PUMUA de la clé, sous {}: retirez la clé",
    },
    program_asked: Notice {
        word: "NOUVEAU PROGRAMME ?",
        meaning: "sur la clé se trouve le programme {}: appuyez sur Entrée pour le prendre, ou retirez la clé pour quitter",
    },
    results_page: "Résultats du boîtier",
    time: "Heure",
    verdicts: "Verdict",
    notes: "Remarques",
    stick_trouble: |trouble| match trouble {
        StickTrouble::NoFilms => {
            "il n'y a pas de radiographie sur la clé: copiez-y des fichiers DICOM, JPEG ou PNG de 32 Mio au plus"
        }
        StickTrouble::TooMany => "il y a trop de fichiers sur la clé: copiez ceux d'un seul patient sur une clé vide",
        StickTrouble::Unreadable => {
            "la clé ne peut pas être lue: formatez-la en FAT32 ou exFAT sur un ordinateur et copiez-y de nouveau les radiographies"
        }
        StickTrouble::Pulled => {
            "une radiographie de la clé n'a pas pu être lue jusqu'au bout: rebranchez la clé et laissez-la jusqu'au résultat"
        }
        StickTrouble::Busy => {
            "un ordinateur utilise le boîtier, rien n'est analysé de la clé: attendez qu'il ait fini, puis rebranchez la clé"
        }
        StickTrouble::Interrupted => {
            "la clé a été retirée, ou a échoué, avant que tous les résultats soient écrits, et rien n'est perdu dans le boîtier: rebranchez-la et écrivez-les de nouveau"
        }
        StickTrouble::Full => {
            "la clé est pleine, tous les résultats ne sont pas écrits: faites de la place, ou prenez une autre clé"
        }
        StickTrouble::WriteProtected => {
            "la clé est protégée contre l'écriture: déplacez son interrupteur, ou prenez une autre clé"
        }
        StickTrouble::NoMark => {
            "le dossier PUMUA n'est plus sur la clé: créez-le sur un ordinateur, puis rebranchez la clé"
        }
        StickTrouble::NoName => {
            "le dossier PUMUA contient ces résultats sous tous les noms que donne le boîtier: retirez-en les fichiers sur un ordinateur"
        }
        StickTrouble::NoResults => {
            "les résultats enregistrés ne peuvent pas être lus, tous ne sont pas écrits: lisez-les avec un ordinateur et vérifiez la carte mémoire du boîtier"
        }
        StickTrouble::NotClosed => {
            "les résultats ont été écrits, mais la clé n'a pas confirmé que tout y est: vérifiez les fichiers sur un ordinateur"
        }
        StickTrouble::ProgramNotTaken => {
            "le nouveau programme de la clé n'a pas été pris jusqu'au bout: rebranchez la clé et laissez-la; le boîtier continue où il en était"
        }
    },
    restart: "Corrigez cela et redémarrez le boîtier.",
    history: "RÉSULTATS PASSÉS",
    no_results: "Pas encore de résultats",
    other_model: "Autre modèle",
    page: "Page",
    time_unknown: "heure inconnue",
    about: "À PROPOS DU BOÎTIER",
    made_for: "Prévu pour",
    ages: |ages| match ages {
        Some([from, to]) => format!(
            "radiographies thoraciques de face {} de {from} à {to} ans",
            if children(to) { "d'enfants" } else { "de patients" }
        ),
        None => "radiographies thoraciques de face ; âges non connus".to_owned(),
    },
    measured: "Mesuré",
    not_measured: "non mesuré pour ce réglage",
    way_back: "Retour",
    go_back_offer: "Maintenez Entrée trois secondes pour revenir au programme précédent ({})",
    go_back: Notice {
        word: "REVENIR ?",
        meaning: "le programme précédent ({}) tournerait de nouveau, avec ses défauts: maintenez de nouveau Entrée trois secondes pour y revenir ; Échap quitte",
    },
    older_offer: "Maintenez Entrée trois secondes si vous voulez vraiment le modèle plus ancien ; il est alors accepté une fois, dans les dix minutes.",
    older_model: Notice {
        word: "UN MODÈLE PLUS ANCIEN ?",
        meaning: "ses résultats peuvent être moins bons: maintenez de nouveau Entrée trois secondes, puis renvoyez le modèle dans les dix minutes ; Échap quitte",
    },
    offered_key: "une clé inconnue ({}) a signé ces réglages: comparez-la avec l'ordinateur ; si c'est la même, maintenez Entrée trois secondes",
    add_key: Notice {
        word: "AJOUTER CETTE CLÉ ?",
        meaning: "qui a la clé {} pourra changer des réglages de ce boîtier: comparez-la encore, maintenez de nouveau Entrée trois secondes, puis renvoyez les réglages ; Échap quitte",
    },
    site_page: "RÉGLAGES DU CENTRE",
    site_offer: "Réglages : i",
    site_file: "réglages {}, compteur {}, clé {}",
    site_keys: "clés du centre {}",
    forget_offer: "maintenez Entrée trois secondes pour les faire oublier ; les réglages de la carte comptent alors",
    forget_site: Notice {
        word: "LES OUBLIER ?",
        meaning: "les réglages envoyés et les clés du centre disparaîtraient: maintenez de nouveau Entrée trois secondes pour les faire oublier ; Échap quitte",
    },
};

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Empty => "le fichier est vide: exportez de nouveau la radiographie",
        Refusal::UnknownFormat => {
            "ce n'est pas une image DICOM, JPEG, PNG, TIFF, BMP ou WebP: exportez la radiographie dans l'un de ces formats"
        }
        Refusal::Corrupt => "l'image est endommagée ou incomplète: exportez-la ou copiez-la de nouveau",
        Refusal::TooManyBytes => "le fichier dépasse 32 Mio: exportez-le en taille réduite",
        Refusal::TooManyPixels => "l'image a trop de pixels: exportez-la en taille réduite, en niveaux de gris",
        Refusal::TooSmall => "l'image a un côté de moins de 32 pixels: exportez-la en taille réelle",
        Refusal::UnsupportedColour => {
            "ces couleurs ne sont pas prises en charge: exportez la radiographie en niveaux de gris ou en RVB"
        }
        Refusal::Animated => "l'image contient plusieurs vues: exportez-en une seule",
        Refusal::DigestMismatch => "l'image reçue n'est pas celle qui a été envoyée: envoyez-la de nouveau",
        Refusal::ContractMismatch => "l'image a été préparée pour un autre modèle: envoyez-la de nouveau",
        Refusal::Coloured => {
            "c'est une image en couleurs, pas une radiographie: exportez la radiographie en niveaux de gris"
        }
        Refusal::Elongated => "l'image est une bande étroite: envoyez toute la radiographie thoracique de face",
        Refusal::Blank => "l'image est vide ou presque sans contraste: exportez de nouveau la radiographie",
        Refusal::TooDark => "l'image est trop sombre: exportez-la avec la luminosité et le contraste habituels",
        Refusal::TooBright => "l'image est trop claire: exportez-la avec la luminosité et le contraste habituels",
        Refusal::UpsideDown => {
            "la radiographie semble être à l'envers: si la tête est en bas, tournez-la d'un demi-tour et envoyez-la de nouveau"
        }
        Refusal::OnItsSide => {
            "la radiographie semble couchée sur le côté: si elle l'est, tournez-la, la tête en haut, et envoyez-la de nouveau"
        }
        Refusal::Negative => {
            "la radiographie semble être un négatif: si les os sont sombres, inversez-la et envoyez-la de nouveau"
        }
        Refusal::Cropped => "l'image ne montre pas tout le thorax: envoyez toute la radiographie thoracique de face",
        Refusal::NotAChest => {
            "cela ne ressemble pas à une radiographie thoracique de face: vérifiez que la bonne image a été envoyée"
        }
        Refusal::Unfamiliar => {
            "l'image ne ressemble pas à celles que le modèle a apprises: faites-la lire par un clinicien"
        }
        Refusal::Mirrored => {
            "la gauche et la droite semblent inversées: vérifiez le repère de côté, ou faites lire l'image par un clinicien"
        }
        Refusal::PreviewMismatch => {
            "l'image pour l'écran n'est pas celle qui doit être analysée: envoyez le fichier entier, non préparé"
        }
        Refusal::UnsupportedKind => {
            "ce type d'image n'est pas pris en charge: exportez la radiographie en JPEG ordinaire ou en PNG"
        }
        Refusal::TooMuchWork => {
            "l'image serait trop longue à décoder: exportez-la en JPEG ordinaire, non progressif, ou en PNG"
        }
        Refusal::UncertainOrientation => {
            "la radiographie est peut-être tournée ou un négatif: regardez-la; si la tête est en haut et les os sont blancs, faites-la lire par un clinicien"
        }
        Refusal::OverrideNotAllowed => {
            "ce boîtier ne juge pas les patients d'un autre âge que celui du modèle: faites lire la radiographie par un clinicien, ou autorisez-le dans ses réglages"
        }
        Refusal::UnsupportedCompression => {
            "la compression de ce fichier DICOM n'est pas prise en charge: envoyez-le sans compression"
        }
        Refusal::OtherModality => {
            "selon le fichier, ce n'est pas une radiographie simple: vérifiez que le bon fichier a été envoyé"
        }
        Refusal::OtherBodyPart => {
            "selon le fichier, ce n'est pas une radiographie du thorax: vérifiez que le bon fichier a été envoyé"
        }
        Refusal::SideView => {
            "selon le fichier, c'est une vue de profil ou oblique: envoyez la radiographie thoracique de face"
        }
        Refusal::ForProcessing => {
            "ce sont des données brutes de l'appareil, à traiter: envoyez la radiographie destinée à la lecture"
        }
        Refusal::TooYoung => {
            "selon le fichier, le patient est plus jeune que les enfants visés par le modèle: faites lire l'image par un clinicien"
        }
        Refusal::TooOld => {
            "selon le fichier, le patient est plus âgé que les enfants visés par le modèle: faites lire l'image par un clinicien"
        }
    }
}

fn not_installed(refusal: ModelRefusal) -> &'static str {
    match refusal {
        ModelRefusal::TooLarge => "le modèle dépasse 4 Mio: utilisez un réseau plus petit",
        ModelRefusal::DigestMismatch => "le modèle reçu diffère de celui qui a été envoyé: envoyez-le de nouveau",
        ModelRefusal::NotAModel => "ce n'est pas un modèle, ou il est endommagé: copiez-le de nouveau",
        ModelRefusal::WrongCard => {
            "la fiche du modèle manque ou ne peut pas être utilisée: utilisez un modèle de cette version"
        }
        ModelRefusal::NotRunnable => "le réseau ne peut pas être exécuté: utilisez un modèle de cette version",
        ModelRefusal::NoProfile => "le modèle n'a pas le profil réglé sur le boîtier: utilisez un modèle qui l'a",
        ModelRefusal::NotStored => {
            "le boîtier n'a pas pu enregistrer le modèle: vérifiez sa carte mémoire et envoyez-le de nouveau"
        }
        ModelRefusal::TooSlow => {
            "le modèle demande plus de temps ou de mémoire que le boîtier n'en a: utilisez un réseau plus petit"
        }
        ModelRefusal::NotSigned => "le modèle n'est pas signé: envoyez un modèle signé",
        ModelRefusal::Older => {
            "le modèle est plus ancien que celui que ce boîtier a déjà eu: envoyez un modèle plus récent"
        }
        ModelRefusal::UnknownKey => {
            "le boîtier ne connaît pas la clé qui a signé le modèle: envoyez-le avec la liste des clés qui la nomme"
        }
        ModelRefusal::WrongAnswers => {
            "le modèle ne distingue pas la pneumonie du normal sur des images connues: ne l'utilisez pas et signalez d'où il vient"
        }
        ModelRefusal::RevokedKey => {
            "la clé qui a signé le modèle est révoquée: faites signer le modèle par une autre clé"
        }
        ModelRefusal::WrongSignature => {
            "la signature n'est pas celle de ce modèle: copiez de nouveau le modèle et la signature, et ne les utilisez pas si cela revient"
        }
        ModelRefusal::OtherBox => {
            "le modèle est fait pour un autre type de boîtier: envoyez un modèle fait pour celui-ci"
        }
        ModelRefusal::WrongKeys => {
            "le boîtier ne croit pas assez de signataires de la liste de clés envoyée avec le modèle: envoyez-le avec une liste signée par assez d'entre eux"
        }
        ModelRefusal::NeedsNewerBox => {
            "le modèle demande une version plus récente du programme du boîtier: mettez d'abord celui-ci à jour"
        }
    }
}

fn not_taken(refusal: SoftwareRefusal) -> &'static str {
    match refusal {
        SoftwareRefusal::NoSlots => {
            "la carte de ce boîtier n'a pas de place pour un second programme: réécrivez-la avec `pumua flash --keep-results`"
        }
        SoftwareRefusal::NotABundle => {
            "ce n'est pas un programme pour le boîtier, ou il est endommagé: copiez-le de nouveau"
        }
        SoftwareRefusal::NotSigned => "le programme n'est pas signé: envoyez un programme signé",
        SoftwareRefusal::KeyUnknown => {
            "le boîtier ne connaît pas la clé qui a signé le programme: faites-le signer avec la liste des clés qui la nomme"
        }
        SoftwareRefusal::KeyRevoked => {
            "la clé qui a signé le programme est révoquée: faites signer le programme par une autre clé"
        }
        SoftwareRefusal::WrongSignature => {
            "la signature n'est pas celle de ce programme: copiez-le de nouveau, et ne l'utilisez pas si cela revient"
        }
        SoftwareRefusal::OtherKind => "la signature n'est pas celle d'un programme: faites signer le programme",
        SoftwareRefusal::OtherLine => {
            "le programme est fait pour un autre type de boîtier: envoyez un programme fait pour celui-ci"
        }
        SoftwareRefusal::NeedsNewer => {
            "ce programme en demande d'abord un autre, plus récent que celui du boîtier: envoyez d'abord celui-là, ou réécrivez la carte"
        }
        SoftwareRefusal::Older => {
            "le programme est plus ancien que celui que ce boîtier a déjà eu: envoyez un programme plus récent"
        }
        SoftwareRefusal::List => {
            "le boîtier ne croit pas assez de signataires de la liste de clés envoyée avec le programme: faites signer la liste par assez d'entre eux"
        }
        SoftwareRefusal::NotStored => {
            "le boîtier n'a pas pu enregistrer le programme: vérifiez sa carte mémoire et envoyez-le de nouveau"
        }
        SoftwareRefusal::OnTrial => {
            "le programme actuel est lui-même à l'essai: attendez quelques minutes et renvoyez le nouveau"
        }
    }
}

fn not_changed(refusal: SiteRefusal) -> &'static str {
    match refusal {
        SiteRefusal::NotSettings => {
            "ce ne sont pas des réglages à envoyer, ou l'un d'eux n'est permis que sur la carte: corrigez-les et faites-les signer de nouveau"
        }
        SiteRefusal::NotSigned => "les réglages ne sont pas signés: faites-les signer",
        SiteRefusal::KeyUnknown => {
            "le boîtier ne connaît pas la clé qui a signé les réglages: envoyez-les avec la liste des clés qui la nomme, ou avec --add-key quand le boîtier affiche PRÊT"
        }
        SiteRefusal::KeyRevoked => {
            "la clé qui a signé les réglages est révoquée: faites signer les réglages par une autre clé"
        }
        SiteRefusal::WrongSignature => {
            "la signature n'est pas celle de ces réglages: copiez de nouveau les deux, et ne les utilisez pas si cela revient"
        }
        SiteRefusal::OtherKind => "la signature n'est pas celle de réglages: faites signer les réglages",
        SiteRefusal::OtherLine => {
            "les réglages sont faits pour un autre type de boîtier: envoyez des réglages faits pour celui-ci"
        }
        SiteRefusal::NeedsNewer => {
            "les réglages demandent une version plus récente du programme du boîtier: mettez d'abord celui-ci à jour"
        }
        SiteRefusal::Older => {
            "les réglages sont plus anciens que ceux que ce boîtier a déjà eus: faites-les signer de nouveau avec un compteur plus grand"
        }
        SiteRefusal::List => {
            "le boîtier ne croit pas assez de signataires de la liste de clés envoyée avec les réglages: envoyez-les avec une liste signée par assez d'entre eux"
        }
        SiteRefusal::NotStored => {
            "le boîtier n'a pas pu enregistrer les réglages: vérifiez sa carte mémoire et envoyez-les de nouveau"
        }
        SiteRefusal::Unfit => {
            "les réglages ne vont pas avec ceux de la carte du boîtier: corrigez `aet` ou `peers` et faites-les signer de nouveau"
        }
        SiteRefusal::KeyOffered => {
            "le boîtier demande s'il doit croire la clé: comparez ce que montre son écran avec l'ordinateur, maintenez deux fois Entrée trois secondes, puis renvoyez les réglages"
        }
        SiteRefusal::TooManyKeys => {
            "le boîtier a déjà autant de clés du centre qu'il en garde: faites-les oublier sur le boîtier, puis ajoutez celle-ci"
        }
    }
}

fn failed(fault: Fault) -> &'static str {
    match fault {
        Fault::Protocol => "le message n'était pas attendu: installez la même version sur l'ordinateur et le boîtier",
        Fault::Timeout => "aucune donnée reçue depuis trop longtemps: vérifiez le câble et renvoyez l'image",
        Fault::Busy => "un autre ordinateur utilise le boîtier: attendez qu'il ait fini",
        Fault::Storage => "un résultat n'a pas pu être enregistré ou relu: vérifiez la carte mémoire du boîtier",
        Fault::Inference => "le modèle n'a pas pu être exécuté: installez un autre modèle sur le boîtier",
        Fault::Internal => "le boîtier a eu une panne interne: redémarrez-le et signalez ce qui a été envoyé",
        Fault::TooFast => "le boîtier a trop reçu en peu de temps: attendez dix minutes, puis envoyez le reste",
        Fault::NotPaired => {
            "le boîtier ne montre cela qu'à un ordinateur qui a son code: tapez le code affiché à l'écran"
        }
        Fault::Screen => {
            "l'écran du boîtier n'affiche plus rien: vérifiez l'écran et son câble, et ne vous fiez pas à ce qu'il montre"
        }
    }
}
