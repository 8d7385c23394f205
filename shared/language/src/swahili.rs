use shared::{
    age::Span,
    verdict::{Fault, ModelRefusal, Refusal, SiteRefusal, SoftwareRefusal, Trust, Verdict},
};

use super::{Console, Notice, Step, StickTrouble, Words, children};

pub(crate) static WORDS: Words = Words {
    disclaimer: "Zana ya utafiti, si kifaa tiba",
    synthetic: "MODELI YA KUBUNI: HAINA MAANA YA KITIBA",
    unsigned: "MAJARIBIO: MODELI ZISIZOSAINIWA ZINAKUBALIWA",
    test_key: "UFUNGUO WA MAJARIBIO: YEYOTE ANAWEZA KUSAINI",
    test_key_fell_back: "UFUNGUO WA MAJARIBIO; MODELI NYINGINE",
    fell_back: "MODELI HAITUMIKI: NYINGINE INAAMUA",
    model: "Modeli",
    starting: "INAANZA",
    step: |step| match step {
        Step::Drivers => "Inapakia viendeshi",
        Step::Storage => "Inafungua hifadhi",
        Step::Model => "Inapakia modeli",
        Step::Lines => "Inafungua njia za mawasiliano",
    },
    stopped: Notice { word: "KIMESIMAMA", meaning: "Kifaa kimesimamishwa" },
    ready: Notice { word: "TAYARI", meaning: "Tuma picha ya eksirei" },
    blanked: Notice { word: "TAYARI", meaning: "Tokeo la mwisho liko kwenye matokeo yaliyopita" },
    pairing: Notice { word: "MSIMBO", meaning: "Kwa kompyuta inayotaka kusoma matokeo" },
    results: "Matokeo",
    changed: "Modeli mpya",
    program_changed: "Programu mpya",
    program_staged: "Programu mpya: zima kifaa, kisha kiwashe tena",
    program_went_back: "Programu mpya haikuanza: ya zamani inaendelea",
    settings_staged: "Mipangilio mingine: zima kifaa na ukiwashe",
    settings_new: "Mipangilio mipya inatumika",
    settings_not_used: "Mipangilio iliyotumwa haiwezi kutumika",
    settings_key_added: "Ufunguo umeongezwa: tuma mipangilio tena",
    signed: |trust| match trust {
        Trust::Signed => "imesainiwa",
        Trust::BuiltIn => "ya programu",
        Trust::TestKey => "UFUNGUO WA MAJARIBIO",
        Trust::Unsigned => "haijasainiwa",
    },
    digest: "Alama ya modeli",
    version: "Toleo",
    receiving: "INAPOKEA",
    updating: "INASASISHA",
    updating_program: "PROGRAMU MPYA",
    analysing: Notice { word: "INACHAMBUA", meaning: "Tafadhali subiri" },
    verdict: |verdict| match verdict {
        Verdict::Normal => Notice { word: "KAWAIDA", meaning: "Nimonia haijaonekana;\nhaimaanishi kuwa haipo" },
        Verdict::Pneumonia => Notice { word: "NIMONIA", meaning: "Nimonia inashukiwa" },
        Verdict::Refer => Notice { word: "RUFAA", meaning: "Lazima tabibu aamue" },
    },
    probability: ["Uwezekano", "wa nimonia"],
    decimal: ".",
    threshold: "Kizingiti {} %",
    band: "Rufaa kuanzia {} hadi {} %",
    of_pneumonia: "Kati ya nimonia 100",
    of_normal: "Kati ya 100 za kawaida",
    said: "{}: {} huitwa kawaida, {} hupewa rufaa, {} huitwa nimonia",
    measured_on: |hospitals| match hospitals {
        None => "kwa picha za majaribio za hospitali zisizojulikana".to_owned(),
        Some(1) => "kwa picha za majaribio za hospitali moja".to_owned(),
        Some(n) => format!("kwa picha za majaribio za hospitali {n}"),
    },
    exam: "Uchunguzi",
    nth: |n| format!("picha yake ya {n}"),
    record: "Rekodi",
    prepared: "nakala",
    span: |span| match span {
        Span::Months(1) => "mwezi 1".to_owned(),
        Span::Months(months) => format!("miezi {months}"),
        Span::Years(1) => "mwaka 1".to_owned(),
        Span::Years(years) => format!("miaka {years}"),
    },
    either: "{} au {}",
    patient_age: "Umri: {}",
    age_unknown: "Umri haujulikani",
    age_overridden: "Umri umepuuzwa: {}",
    meant: |ages| match ages {
        Some([from, to]) => format!("Modeli ni ya {} wa miaka {from} hadi {to}", who(to)),
        None => "Haijulikani modeli ni ya umri gani".to_owned(),
    },
    now: "sasa hivi",
    minutes_ago: "dakika {} zilizopita",
    hours_ago: "saa {} zilizopita",
    past: "JIBU LILILOPITA: {}",
    caption: ["Mistari: mahali modeli ilipoangalia.", "Si utambuzi wa ugonjwa."],
    not_judged: "HAIKUCHAMBULIWA",
    error: "HITILAFU",
    safe_mode: "HALI YA DHARURA",
    code: "Msimbo",
    refusal: |refusal| refused(refusal).to_owned(),
    fault: |fault| failed(fault).to_owned(),
    model_refusal: |refusal| not_installed(refusal).to_owned(),
    software_refusal: |refusal| not_taken(refusal).to_owned(),
    site_refusal: |refusal| not_changed(refusal).to_owned(),
    line_lost: "mawasiliano na kompyuta yamekatika: chomeka kebo tena; kifaa kitaendelea chenyewe",
    safe: "programu ya kifaa imeshindwa mara nyingi na haichambui chochote sasa: chukua matokeo, kisha zima umeme na uwashe tena; hali hii ikirudi, andika kadi upya",
    no_storage: "matokeo hayawezi kuhifadhiwa, hivyo hakuna kinachochambuliwa: chukua matokeo, kisha tumia kadi nyingine ya kumbukumbu",
    chain_broken: "matokeo yaliyohifadhiwa yamebadilishwa au kupotea: chukua matokeo, kisha mjulishe msimamizi wa kifaa",
    console: |reason| match reason {
        Console::NotCalled => {
            "mashine ya eksirei inatuita {}, sisi ni {}: andika {} kwenye mashine kama jina la AE linaloitwa"
        }
        Console::NotNamed => {
            "mashine ya eksirei inajiita {}, mipangilio ya kifaa inasema vingine: sahihisha moja kati ya hizo mbili"
        }
        Console::Stranger => {
            "mashine kwenye anwani {} ilijaribu kutuma, na hairuhusiwi: ongeza anwani yake kwenye `peers` katika mipangilio ya kifaa"
        }
        Console::Unfit => {
            "hakuna ambacho {} inatoa kinachoweza kuchambuliwa: tuma bila kubana, kama CR, DX au Secondary Capture"
        }
    },
    journal: "Kumbukumbu",
    broken: "imebadilishwa kabla ya {}",
    stick: "EKSIREI KWENYE FLASHI",
    newest: "mpya zaidi",
    stick_countdown: "Mpya zaidi itachambuliwa baada ya sekunde {}. Mishale huchagua nyingine.",
    stick_choose: "Enter huchambua iliyochaguliwa, Esc hutoka kwenye orodha.",
    stick_reading: "Inasoma flashi. Usiichomoe.",
    stick_marked: "KWENYE FLASHI",
    stick_program: "Pokea programu mpya {}",
    stick_results: "Andika matokeo kwenye flashi hii",
    stick_take: "Enter hufanya kilichochaguliwa, Esc hutoka kwenye orodha.",
    results_asked: Notice {
        word: "ANDIKA MATOKEO?",
        meaning: "kifaa kina matokeo {}: bonyeza Enter kuyaandika kwenye flashi, au chomoa flashi kuacha",
    },
    results_writing: "INAANDIKA MATOKEO",
    results_done: "{} kati ya {}",
    results_written: Notice {
        word: "MATOKEO YAMEANDIKWA",
        meaning: "yako kwenye folda PUMUA ya flashi, kwa jina {}: chomoa flashi",
    },
    program_asked: Notice {
        word: "PROGRAMU MPYA?",
        meaning: "kwenye flashi kuna programu {}: bonyeza Enter kuipokea, au chomoa flashi kuacha",
    },
    results_page: "Matokeo ya kifaa",
    time: "Wakati",
    verdicts: "Uamuzi",
    notes: "Maelezo",
    stick_trouble: |trouble| match trouble {
        StickTrouble::NoFilms => {
            "hakuna eksirei kwenye flashi: nakili humo faili za DICOM, JPEG au PNG zisizozidi MiB 32"
        }
        StickTrouble::TooMany => "kuna faili nyingi mno kwenye flashi: nakili za mgonjwa mmoja kwenye flashi tupu",
        StickTrouble::Unreadable => {
            "flashi haiwezi kusomwa: iumbize kwa FAT32 au exFAT kwenye kompyuta, kisha nakili eksirei tena"
        }
        StickTrouble::Pulled => {
            "eksirei kwenye flashi haikusomwa hadi mwisho: chomeka flashi tena na uiache hadi jibu litokee"
        }
        StickTrouble::Busy => {
            "kompyuta inatumia kifaa, hivyo hakuna cha kwenye flashi kinachochambuliwa: subiri imalize, kisha chomeka flashi tena"
        }
        StickTrouble::Interrupted => {
            "flashi imechomolewa, au imeshindwa, kabla ya matokeo yote kuandikwa, na hakuna kilichopotea kwenye kifaa: ichomeke tena na uyaandike upya"
        }
        StickTrouble::Full => "flashi imejaa, hivyo si matokeo yote yaliyoandikwa: ipe nafasi, au tumia nyingine",
        StickTrouble::WriteProtected => "flashi imezuiwa kuandikwa: sogeza swichi yake, au tumia nyingine",
        StickTrouble::NoMark => {
            "folda PUMUA haipo tena kwenye flashi: itengeneze kwenye kompyuta, kisha chomeka flashi tena"
        }
        StickTrouble::NoName => {
            "folda PUMUA ina matokeo haya kwa kila jina ambalo kifaa hutoa: ondoa faili hizo kwa kompyuta"
        }
        StickTrouble::NoResults => {
            "matokeo yaliyohifadhiwa hayawezi kusomwa, hivyo si yote yaliyoandikwa: yasome kwa kompyuta, na angalia kadi ya kumbukumbu ya kifaa"
        }
        StickTrouble::NotClosed => {
            "matokeo yameandikwa, lakini flashi haikuthibitisha kuwa yote yapo: angalia faili hizo kwenye kompyuta"
        }
        StickTrouble::ProgramNotTaken => {
            "programu mpya kwenye flashi haikupokelewa hadi mwisho: chomeka flashi tena na uiache; kifaa kinaendelea kilipoishia"
        }
    },
    restart: "Rekebisha hili kisha washa kifaa tena.",
    history: "MATOKEO YALIYOPITA",
    no_results: "Bado hakuna matokeo",
    other_model: "Modeli nyingine",
    page: "Ukurasa",
    time_unknown: "wakati haujulikani",
    about: "KUHUSU KIFAA",
    made_for: "Kwa ajili ya",
    ages: |ages| match ages {
        Some([from, to]) => {
            format!("eksirei za kifua za {} wa miaka {from} hadi {to}, zilizopigwa kutoka mbele", who(to))
        }
        None => "eksirei za kifua zilizopigwa kutoka mbele; umri haujulikani".to_owned(),
    },
    measured: "Kipimo",
    not_measured: "haijapimwa kwa mpangilio huu",
    way_back: "Kurudi nyuma",
    go_back_offer: "Shikilia Enter kwa sekunde tatu ili kurudi kwenye programu ya awali ({})",
    go_back: Notice {
        word: "KURUDI NYUMA?",
        meaning: "programu ya awali ({}) itaendeshwa tena, pamoja na kasoro zake: shikilia tena Enter kwa sekunde tatu ili kurudi; Esc hutoka",
    },
    older_offer: "Shikilia Enter kwa sekunde tatu ikiwa kweli unataka modeli ya zamani; itapokewa mara moja ndani ya dakika kumi.",
    older_model: Notice {
        word: "MODELI YA ZAMANI?",
        meaning: "matokeo yake yanaweza kuwa mabaya zaidi: shikilia tena Enter kwa sekunde tatu, kisha tuma modeli tena ndani ya dakika kumi; Esc hutoka",
    },
    offered_key: "ufunguo usiojulikana ({}) umetia sahihi mipangilio hii: ulinganishe na kompyuta; ikiwa ni ule ule, shikilia Enter kwa sekunde tatu",
    add_key: Notice {
        word: "ONGEZA UFUNGUO HUU?",
        meaning: "mwenye ufunguo {} ataweza kubadilisha mipangilio ya kifaa hiki: ulinganishe tena, shikilia Enter tena kwa sekunde tatu, kisha tuma mipangilio tena; Esc hutoka",
    },
    site_page: "MIPANGILIO YA KITUO",
    site_offer: "Mipangilio: i",
    site_file: "mipangilio {}, nambari {}, ufunguo {}",
    site_keys: "funguo za kituo {}",
    forget_offer: "shikilia Enter kwa sekunde tatu ili isahauliwe; kisha mipangilio ya kadi itatumika",
    forget_site: Notice {
        word: "ISAHAULIWE?",
        meaning: "mipangilio iliyotumwa na funguo za kituo zitaondolewa: shikilia Enter tena kwa sekunde tatu ili zisahauliwe; Esc hutoka",
    },
};

/// Whom a model is for whose oldest patients are of so many years.
fn who(oldest: u8) -> &'static str {
    if children(oldest) { "watoto" } else { "wagonjwa" }
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Empty => "faili ni tupu: hamisha eksirei tena",
        Refusal::UnknownFormat => {
            "hii si picha ya DICOM, JPEG, PNG, TIFF, BMP wala WebP: hamisha eksirei katika mojawapo ya aina hizi"
        }
        Refusal::Corrupt => "picha imeharibika au haijakamilika: ihamishe au inakili tena",
        Refusal::TooManyBytes => "faili ni kubwa kuliko MiB 32: lihamishe kwa ukubwa mdogo zaidi",
        Refusal::TooManyPixels => "picha ina pikseli nyingi mno: ihamishe kwa ukubwa mdogo zaidi, kwa rangi ya kijivu",
        Refusal::TooSmall => "picha ina upande ulio chini ya pikseli 32: ihamishe kwa ukubwa wake kamili",
        Refusal::UnsupportedColour => "mfumo huu wa rangi haukubaliki: hamisha eksirei kwa rangi ya kijivu au RGB",
        Refusal::Animated => "picha ina fremu kadhaa: hamisha moja tu",
        Refusal::DigestMismatch => "picha iliyopokelewa si sawa na iliyotumwa: itume tena",
        Refusal::ContractMismatch => "picha iliandaliwa kwa modeli nyingine: itume tena",
        Refusal::Coloured => "hii ni picha ya rangi, si eksirei: hamisha eksirei kwa rangi ya kijivu",
        Refusal::Elongated => "picha ni ukanda mwembamba: tuma eksirei nzima ya kifua iliyopigwa kutoka mbele",
        Refusal::Blank => "picha ni tupu au haionyeshi tofauti za mwanga: hamisha eksirei tena",
        Refusal::TooDark => "picha ina giza mno: ihamishe kwa mwanga na utofautishaji wa kawaida",
        Refusal::TooBright => "picha ina mwanga mno: ihamishe kwa mwanga na utofautishaji wa kawaida",
        Refusal::UpsideDown => {
            "eksirei inaonekana kupinduliwa: ikiwa kichwa kiko chini, igeuze nusu mzunguko kisha itume tena"
        }
        Refusal::OnItsSide => "eksirei inaonekana kulala ubavu: ikiwa ndivyo, igeuze kichwa kiwe juu kisha itume tena",
        Refusal::Negative => "eksirei inaonekana kuwa negativu: ikiwa mifupa ni myeusi, igeuze rangi kisha itume tena",
        Refusal::Cropped => "picha haionyeshi kifua chote: tuma eksirei nzima ya kifua iliyopigwa kutoka mbele",
        Refusal::NotAChest => {
            "hii haionekani kuwa eksirei ya kifua iliyopigwa kutoka mbele: hakikisha picha sahihi imetumwa"
        }
        Refusal::Unfamiliar => "picha haifanani na zile ambazo modeli ilijifunza: tabibu aisome",
        Refusal::Mirrored => "kushoto na kulia vinaonekana kubadilishana: angalia alama ya upande, au tabibu aisome",
        Refusal::PreviewMismatch => "picha ya kwenye skrini si ile ya kuchambuliwa: tuma faili nzima, isiyoandaliwa",
        Refusal::UnsupportedKind => "aina hii ya picha haikubaliki: hamisha eksirei kama JPEG ya kawaida au PNG",
        Refusal::TooMuchWork => {
            "picha ingechukua muda mrefu mno kusomwa: ihamishe kama JPEG ya kawaida, isiyo ya hatua kwa hatua, au PNG"
        }
        Refusal::UncertainOrientation => {
            "huenda eksirei imegeuzwa au ni negativu: iangalie; ikiwa kichwa kiko juu na mifupa ni myeupe, tabibu aisome"
        }
        Refusal::OverrideNotAllowed => {
            "kisanduku hiki hakitathmini wagonjwa wa umri usio wa modeli: tabibu aisome eksirei, au ruhusu katika mipangilio yake"
        }
        Refusal::UnsupportedCompression => "mbinu ya kubana faili hii ya DICOM haikubaliki: itume bila kubanwa",
        Refusal::OtherModality => "kwa mujibu wa faili, hii si eksirei ya kawaida: hakikisha faili sahihi imetumwa",
        Refusal::OtherBodyPart => "kwa mujibu wa faili, hii si eksirei ya kifua: hakikisha faili sahihi imetumwa",
        Refusal::SideView => {
            "kwa mujibu wa faili, hii ilipigwa kutoka upande au kimshazari: tuma eksirei ya kifua iliyopigwa kutoka mbele"
        }
        Refusal::ForProcessing => {
            "faili ina data ghafi ya mashine, ya kuchakatwa: tuma eksirei iliyo tayari kuonyeshwa"
        }
        Refusal::TooYoung => {
            "kwa mujibu wa faili, mgonjwa ni mdogo kuliko watoto ambao modeli inawahusu: tabibu aisome"
        }
        Refusal::TooOld => "kwa mujibu wa faili, mgonjwa ni mkubwa kuliko watoto ambao modeli inawahusu: tabibu aisome",
    }
}

fn not_installed(refusal: ModelRefusal) -> &'static str {
    match refusal {
        ModelRefusal::TooLarge => "modeli inazidi MiB 4: tumia mtandao mdogo zaidi",
        ModelRefusal::DigestMismatch => "modeli iliyopokelewa si sawa na iliyotumwa: itume tena",
        ModelRefusal::NotAModel => "hii si modeli, au imeharibika: inakili tena",
        ModelRefusal::WrongCard => "kadi ya maelezo ya modeli haipo au haiwezi kutumika: tumia modeli ya toleo hili",
        ModelRefusal::NotRunnable => "mtandao hauwezi kuendeshwa: tumia modeli ya toleo hili",
        ModelRefusal::NoProfile => "modeli haina wasifu uliowekwa kwenye kifaa: tumia iliyo nao",
        ModelRefusal::NotStored => "kifaa hakikuweza kuhifadhi modeli: angalia kadi ya kumbukumbu kisha uitume tena",
        ModelRefusal::TooSlow => {
            "modeli inahitaji muda au kumbukumbu zaidi ya iliyo kwenye kifaa: tumia mtandao mdogo zaidi"
        }
        ModelRefusal::NotSigned => "modeli haijasainiwa: tuma iliyosainiwa",
        ModelRefusal::Older => "modeli ni ya zamani kuliko moja ambayo kifaa hiki kimewahi kuwa nayo: tuma ya baadaye",
        ModelRefusal::UnknownKey => {
            "kifaa hakijui ufunguo uliosaini modeli: itume pamoja na orodha ya funguo inayoutaja"
        }
        ModelRefusal::WrongAnswers => {
            "modeli haitofautishi nimonia na hali ya kawaida kwenye picha zinazojulikana: usiitumie, na uripoti ilikotoka"
        }
        ModelRefusal::RevokedKey => "ufunguo uliosaini modeli umefutwa: modeli isainiwe kwa ufunguo mwingine",
        ModelRefusal::WrongSignature => {
            "saini si ya modeli hii: nakili modeli na saini tena, na usizitumie hali hii ikirudi"
        }
        ModelRefusal::OtherBox => "modeli ni ya aina nyingine ya kifaa: tuma iliyo ya aina hii",
        ModelRefusal::WrongKeys => {
            "orodha ya funguo iliyokuja na modeli haijasainiwa na watu wa kutosha: itume pamoja na orodha iliyosainiwa na wa kutosha"
        }
        ModelRefusal::NeedsNewerBox => {
            "modeli inahitaji toleo jipya zaidi la programu ya kifaa: sasisha kwanza programu hiyo"
        }
    }
}

fn not_taken(refusal: SoftwareRefusal) -> &'static str {
    match refusal {
        SoftwareRefusal::NoSlots => {
            "kadi ya kifaa hiki haina nafasi ya programu ya pili: iandike upya kwa `pumua flash --keep-results`"
        }
        SoftwareRefusal::NotABundle => "hii si programu ya kifaa, au imeharibika: inakili tena",
        SoftwareRefusal::NotSigned => "programu haijasainiwa: tuma iliyosainiwa",
        SoftwareRefusal::KeyUnknown => {
            "kifaa hakijui ufunguo uliosaini programu: isainiwe pamoja na orodha ya funguo inayoutaja"
        }
        SoftwareRefusal::KeyRevoked => "ufunguo uliosaini programu umefutwa: programu isainiwe kwa ufunguo mwingine",
        SoftwareRefusal::WrongSignature => "saini si ya programu hii: inakili tena, na usiitumie hali hii ikirudi",
        SoftwareRefusal::OtherKind => "saini ni ya kitu kingine, si ya programu: programu isainiwe",
        SoftwareRefusal::OtherLine => "programu ni ya aina nyingine ya kifaa: tuma iliyo ya aina hii",
        SoftwareRefusal::NeedsNewer => {
            "programu hii inahitaji kwanza nyingine iliyo mpya kuliko ya kifaa: tuma hiyo kwanza, au andika kadi upya"
        }
        SoftwareRefusal::Older => {
            "programu ni ya zamani kuliko moja ambayo kifaa hiki kimewahi kuwa nayo: tuma iliyo mpya zaidi"
        }
        SoftwareRefusal::List => {
            "orodha ya funguo iliyokuja na programu haijasainiwa na watu wa kutosha: tumia orodha iliyosainiwa na wa kutosha"
        }
        SoftwareRefusal::NotStored => {
            "kifaa hakikuweza kuhifadhi programu: angalia kadi yake ya kumbukumbu kisha itume tena"
        }
        SoftwareRefusal::OnTrial => {
            "programu ya sasa yenyewe iko katika majaribio: subiri dakika chache kisha tuma mpya tena"
        }
    }
}

fn not_changed(refusal: SiteRefusal) -> &'static str {
    match refusal {
        SiteRefusal::NotSettings => {
            "hii si mipangilio ya kutumwa, au mmoja wake unaruhusiwa kwenye kadi tu: isahihishe na itiwe sahihi tena"
        }
        SiteRefusal::NotSigned => "mipangilio haijatiwa sahihi: itiwe sahihi",
        SiteRefusal::KeyUnknown => {
            "kifaa hakiujui ufunguo uliotia sahihi mipangilio: itume pamoja na orodha ya funguo inayoutaja, au kwa --add-key kifaa kikionyesha TAYARI"
        }
        SiteRefusal::KeyRevoked => {
            "ufunguo uliotia sahihi mipangilio umebatilishwa: mipangilio itiwe sahihi kwa ufunguo mwingine"
        }
        SiteRefusal::WrongSignature => {
            "sahihi si ya mipangilio hii: nakili vyote viwili tena, na usivitumie hali hii ikirudi"
        }
        SiteRefusal::OtherKind => "sahihi si ya mipangilio: mipangilio itiwe sahihi yake",
        SiteRefusal::OtherLine => "mipangilio ni ya aina nyingine ya kifaa: tuma iliyo ya aina hii",
        SiteRefusal::NeedsNewer => {
            "mipangilio inahitaji toleo jipya zaidi la programu ya kifaa: sasisha programu kwanza"
        }
        SiteRefusal::Older => {
            "mipangilio ni ya zamani kuliko ile ambayo kifaa hiki kimewahi kuwa nayo: itiwe sahihi tena kwa nambari kubwa zaidi"
        }
        SiteRefusal::List => {
            "wanaoaminiwa na kifaa waliotia sahihi orodha ya funguo iliyokuja na mipangilio hawatoshi: itume na orodha iliyotiwa sahihi na wa kutosha"
        }
        SiteRefusal::NotStored => "kifaa hakikuweza kuhifadhi mipangilio: kagua kadi yake ya kumbukumbu na uitume tena",
        SiteRefusal::Unfit => {
            "mipangilio haiendani na ile iliyo kwenye kadi ya kifaa: sahihisha `aet` au `peers` na itiwe sahihi tena"
        }
        SiteRefusal::KeyOffered => {
            "kifaa kinauliza kama kiuamini ufunguo: linganisha kinachoonyeshwa na skrini yake na kompyuta, shikilia Enter kwa sekunde tatu, mara mbili, kisha tuma mipangilio tena"
        }
        SiteRefusal::TooManyKeys => {
            "kifaa kina funguo za kituo nyingi kadiri kinavyoweza kuhifadhi: zisahauliwe kwenye kifaa, kisha ongeza huu"
        }
    }
}

fn failed(fault: Fault) -> &'static str {
    match fault {
        Fault::Protocol => "ujumbe haukutarajiwa: weka kompyuta na kifaa katika toleo moja",
        Fault::Timeout => "mawasiliano yalikuwa kimya muda mrefu mno: angalia kebo kisha tuma picha tena",
        Fault::Busy => "kompyuta nyingine inatumia kifaa: subiri hadi imalize",
        Fault::Storage => "matokeo hayakuweza kuhifadhiwa au kusomwa: angalia kadi ya kumbukumbu ya kifaa",
        Fault::Inference => "modeli haikuweza kuendeshwa: weka modeli nyingine kwenye kifaa",
        Fault::Internal => "kifaa kina hitilafu ya ndani: kiwashe upya kisha ripoti kilichotumwa",
        Fault::TooFast => "kifaa kimetumiwa mengi kwa muda mfupi: subiri dakika kumi, kisha tuma yaliyobaki",
        Fault::NotPaired => "kifaa huonyesha haya kwa kompyuta yenye msimbo wake tu: andika msimbo ulio kwenye skrini",
        Fault::Screen => {
            "skrini ya kifaa haiwezi kuonyesha kitu: angalia skrini na kebo yake, wala usitegemee inachoonyesha"
        }
    }
}
