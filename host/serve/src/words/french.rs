use super::Words;
use crate::{
    node::What,
    outbox::Trouble,
    record::{Opinion, Source},
    store::Filter,
};

pub(super) static WORDS: Words = Words {
    films: "Radiographies",
    state: "État",
    help: "Aide",
    leave: "Terminer la session",
    language: "Langue",
    skip: "Aller au contenu",
    judge_films: "Analyser des radiographies",
    drop: "Déposez ici des fichiers de radiographies, ou",
    choose: "Choisissez des fichiers",
    kinds: "DICOM, JPEG, PNG, TIFF, BMP ou WebP ; 32 Mio au plus chacun",
    exam_field: "Examen, pour la retrouver",
    exam_hint: "il sert à retrouver la radiographie, et ne peut pas être ajouté plus tard. Lettres, chiffres, '.', '_', '-'. Jamais le nom d'un patient",
    exam_wrong: "Seulement des lettres de A à Z sans accent, des chiffres, '.', '_' et '-', sans espaces",
    judge: "Analyser",
    remove: "Retirer",
    sending: "Envoi",
    waiting: "En attente",
    ahead: "Radiographies avant celle-ci : {}",
    known: "Cette radiographie a déjà été envoyée, pour cet examen.",
    here: "Déjà là : {}",
    other_exam: "La même radiographie a déjà été envoyée : {}. Vérifiez quel examen est le bon.",
    not_sent: "Pas envoyée : {}",
    silent: "Pumua ne répond pas : vérifiez qu'il est en marche, puis réessayez",
    script: "Pour envoyer des fichiers, autorisez le script de cette page.",
    search: "Examen ou résultat",
    show: "Montrer",
    find: "Chercher",
    filter: |filter| match filter {
        Filter::All => Some("Toutes"),
        Filter::Waiting => Some("En attente"),
        Filter::Unanswered => Some("Sans réponse du clinicien"),
        _ => None,
    },
    none: "Aucune radiographie ici",
    no_match: "Rien ne correspond à cette recherche.",
    searched: "Ce qui est cherché : l'examen, ou une partie, et le numéro du résultat. Les noms des fichiers ne sont pas conservés.",
    clear: "Effacer la recherche",
    part: "{} à {} sur {}",
    older: "Plus anciennes",
    newer: "Plus récentes",
    csv: "Télécharger un tableau (CSV)",
    received: "Reçue",
    source: |source| match source {
        Source::Page => "de cette page",
        Source::Folder => "du dossier surveillé",
        Source::Node => "de l'appareil de radiographie",
    },
    judged: "Analysée",
    answer: "Verdict",
    site: "Lieu",
    clinician: "Le clinicien dit",
    opinion: |opinion| match opinion {
        Opinion::Other => Some("Autre chose"),
        Opinion::Undecided => Some("Indécis"),
        _ => None,
    },
    choose_one: "Choisissez une de ces réponses",
    save: "Enregistrer",
    saved: "Enregistré {}",
    below: "Moins de {} % : {}.",
    from: "À partir de {} % : {}.",
    next: [
        "Un clinicien examine l'enfant comme d'habitude. Un enfant qui paraît malade a besoin d'un clinicien, quel que soit le verdict.",
        "Un clinicien lit la radiographie et examine l'enfant.",
        "Il n'y a pas d'avis : un clinicien lit la radiographie et examine l'enfant.",
    ],
    unreliable: "Ne vous fiez pas à ce verdict : un clinicien lit la radiographie.",
    check: "Vérifiez l'image : est-ce la radiographie de cet enfant, et tout le thorax est-il dans la ligne bleue ?",
    seen: "Ce qui a été analysé",
    sent: "Ce qui a été envoyé",
    film: "La radiographie. Le modèle ne voit que l'intérieur de la ligne bleue, s'il y en a une",
    square: "Ce que voit le modèle",
    evidence: "Ils servent à voir quand un verdict repose sur autre chose que les poumons.",
    no_evidence: "Le modèle n'a trouvé aucun endroit qui indique nettement une pneumonie.",
    no_pictures: "Il n'y a pas d'image de cette radiographie, ou elle n'est plus conservée.",
    details: "Détails",
    box_record: "Résultat du boîtier",
    slip: "Fiche à imprimer",
    print: "Imprimer",
    signature: "Clinicien, date, signature",
    judges: "Qui analyse",
    nobody_yet: "inconnu avant le premier résultat",
    trouble: "Problème",
    no_trouble: "aucun",
    of: "{} sur {}",
    space: "Place pour les radiographies, Mio",
    folder: "Dossier surveillé",
    taken: "radiographies prises depuis le démarrage : {} ; autres fichiers laissés : {}",
    no_folder: "aucun",
    node: "Nœud DICOM",
    no_node: "aucun",
    node_is: "titre AE {}, adresse {}, port {}",
    pacs: "Vers le PACS",
    no_pacs: "aucun",
    pacs_waits: "réponses à envoyer : {} ; envoyées depuis le démarrage : {}",
    pacs_last: "Dernier envoi",
    pacs_aside: "Pas envoyées avant demain ou le prochain démarrage : {}",
    pacs_trouble: |trouble| match trouble {
        Trouble::Unreachable => {
            "pas de connexion au PACS : vérifiez son adresse et son port après --pacs, le câble et le réseau"
        }
        Trouble::Silent => "le PACS ne répond pas à temps : vérifiez qu'il fonctionne, et le réseau",
        Trouble::Foreign => {
            "ce qui répond n'est pas un PACS comme convenu : vérifiez l'adresse et le port après --pacs"
        }
        Trouble::Cut => {
            "le PACS a interrompu la liaison : cherchez dans son journal pourquoi cet ordinateur ne peut pas envoyer"
        }
        Trouble::Busy => "le PACS refuse pour le moment, trop d'envois à la fois : attendez, un nouvel essai suit",
        Trouble::OwnTitle => {
            "le PACS ne nous connaît pas comme {} : entrez-y ce titre AE et l'adresse de cet ordinateur, ou changez --aet"
        }
        Trouble::ItsTitle => "le PACS ne s'appelle pas {} : corrigez son titre AE après --pacs",
        Trouble::Rejected => {
            "le PACS refuse l'appel : cherchez la raison dans son journal, et permettez-y l'envoi à cet ordinateur"
        }
        Trouble::NoCapture => "le PACS n'accepte pas Secondary Capture : permettez-y ce type d'image",
        Trouble::NoReport => {
            "le PACS n'accepte pas les rapports structurés : permettez-y Comprehensive SR, puis redémarrez `pumua serve`"
        }
        Trouble::Full => "le PACS n'a plus de ressources : faites-y de la place, un nouvel essai suit",
        Trouble::NotNow(_) => {
            "le PACS ne prend pas une réponse maintenant (état {}) : voyez son journal, un nouvel essai suit"
        }
        Trouble::Refused(_) => {
            "le PACS a refusé une réponse (état {}) : voyez son journal, corrigez, puis redémarrez `pumua serve`, qui essaie encore une fois"
        }
        Trouble::NotMade => {
            "une réponse ne peut pas être préparée pour l'envoi, sa radiographie n'est plus là ou a changé : lisez la réponse sur cette page"
        }
        Trouble::Disk => {
            "le disque est en panne, rien n'est envoyé pour le moment : faites-y de la place, ou corrigez ses droits"
        }
    },
    consoles_did: "Ce que les consoles ont fait en dernier",
    no_consoles: "Rien encore",
    consoles: |what| match what {
        What::Echo => "réponse donnée au C-ECHO de {}",
        What::Taken => "{} reçues de {}, dont {} déjà là",
        What::Nothing => "{} s'est connectée et n'a rien envoyé",
        What::Idle => "terminé, rien n'a été demandé pendant deux minutes",
        What::NotCalled => {
            "refusé, la console nous appelle {}, nous sommes {} : entrez {} sur la console comme titre AE appelé"
        }
        What::Stranger => {
            "refusé, personne ne peut envoyer depuis cette adresse : nommez-la avec --peer en démarrant `pumua serve`"
        }
        What::NotNamed => "refusé, la console s'appelle {}, et --peer dit autre chose : corrigez l'un des deux",
        What::Busy => "refusé pour le moment, trop d'envois à la fois : attendez, puis envoyez de nouveau",
        What::NoKind => "rien de ce que propose {} n'est accepté : envoyez en CR, DX ou Secondary Capture",
        What::NoSyntax => "aucun codage que propose {} n'est accepté : envoyez sans compression",
        What::Foreign => {
            "terminé, ce qui est venu n'est pas du DICOM comme convenu : vérifiez l'adresse et le port sur la console, et essayez C-ECHO"
        }
        What::Slow => "terminé, trop peu est venu à temps : vérifiez le câble et le réseau",
        What::Cut => "interrompu au milieu d'une radiographie, qui n'est pas gardée : envoyez-la de nouveau",
        What::TooLarge => "pas gardée, une radiographie de plus de 32 Mio : envoyez-la plus petite",
        What::NoRoom => {
            "pas gardée, il n'y a pas de place ou le disque est en panne : faites de la place, puis envoyez de nouveau"
        }
        What::OtherKind => {
            "pas gardée, une radiographie n'est pas ce qui était annoncé : envoyez en CR, DX ou Secondary Capture"
        }
        What::NotUnderstood => {
            "pas gardée, une radiographie illisible : envoyez sans compression, et faites vérifier la console"
        }
    },
    update: "Mettre à jour le boîtier",
    update_drop: "Déposez le fichier ici, ou",
    update_choose: "Choisissez un fichier",
    update_hint: "Un fichier qui se termine par .pumua, avec un autre programme pour le boîtier. Le boîtier vérifie lui-même qui l'a signé. Un modèle s'envoie avec `pumua update`.",
    update_send: "Envoyer au boîtier",
    update_stop: "Arrêter la mise à jour",
    update_large: "le fichier dépasse 64 Mio, ce n'est donc pas un programme pour un boîtier : choisissez-en un autre",
    update_other: "une autre mise à jour est en cours : attendez qu'elle se termine, ou arrêtez-la",
    update_unsigned: "Personne ne l'a signé : seul un boîtier de développement l'accepte.",
    update_sending: "{} est envoyé au boîtier : {} %. Les radiographies passent avant.",
    update_installing: "Le boîtier vérifie {} et l'enregistre : laissez-le allumé.",
    update_troubled: "{} attend, et continue de lui-même : {}",
    update_staged: "Le boîtier a {} : éteignez-le et rallumez-le pour le démarrer.",
    update_running: "Le boîtier utilise déjà {}.",
    update_refused: "Le boîtier n'accepte pas {}, et garde le programme qu'il a : {}",
    update_given_up: "L'envoi de {} a échoué : {}. Le boîtier garde son programme actuel, et ce qui est arrivé du nouveau. Envoyez de nouveau le même fichier pour continuer.",
    update_stopped: "L'envoi de {} a été arrêté. Le boîtier garde son programme actuel, et ce qui est arrivé du nouveau. Envoyez de nouveau le même fichier pour continuer.",
    steps: [
        "Déposez un ou plusieurs fichiers sur la page, ou choisissez-les. Un fichier est une radiographie thoracique de face d'un enfant.",
        "Tapez comment s'appelle l'examen, pour le retrouver. Ne tapez jamais le nom d'un patient.",
        "Appuyez sur Analyser et attendez quelques secondes.",
        "Lisez le verdict. Un clinicien décide, quoi qu'il dise ; un enfant qui paraît malade a besoin d'un clinicien.",
        "Regardez ce qui a été analysé : est-ce la radiographie de cet enfant, et tout le thorax est-il dans la ligne bleue ?",
        "Indiquez ce que dit le clinicien, et imprimez la fiche.",
    ],
    meant: [
        "Aucun signe de pneumonie n'a été vu. Certaines pneumonies échappent.",
        "Une pneumonie est suspectée. C'est faux pour certaines radiographies normales.",
        "Il n'y a pas d'avis : un clinicien doit décider.",
    ],
    meant_not_judged: "Il n'y a pas de résultat. Le texte dit pourquoi, et que faire.",
    code: "Tapez les six chiffres que montre le terminal de Pumua",
    wrong_code: "Ce n'est pas le code.",
    locked: "Des codes faux ont été tapés : attendez une minute ou plus, et prenez le code que montre alors le terminal.",
    enter: "Continuer",
    foreign: "La session est terminée, ou la demande ne vient pas de cette page : ouvrez la page de nouveau.",
    missing: "Cette page n'existe pas.",
    back: "Toutes les radiographies",
};
