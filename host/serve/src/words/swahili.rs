use super::Words;
use crate::{
    node::What,
    outbox::Trouble,
    record::{Opinion, Source},
    store::Filter,
};

pub(super) static WORDS: Words = Words {
    films: "Eksirei",
    state: "Hali",
    help: "Msaada",
    leave: "Maliza kipindi",
    language: "Lugha",
    skip: "Nenda kwenye yaliyomo",
    judge_films: "Chambua eksirei",
    drop: "Weka faili za eksirei hapa, au",
    choose: "Chagua faili",
    kinds: "DICOM, JPEG, PNG, TIFF, BMP au WebP; kila moja isizidi MiB 32",
    exam_field: "Uchunguzi, ili uipate tena",
    exam_hint: "jina lake hutumika kuipata eksirei tena, na haliwezi kuongezwa baadaye. Herufi, tarakimu, '.', '_', '-'. Kamwe si jina la mgonjwa",
    exam_wrong: "Herufi A hadi Z, tarakimu, '.', '_' na '-' tu, bila nafasi",
    judge: "Chambua",
    remove: "Ondoa",
    sending: "Inatumwa",
    waiting: "Inasubiri",
    ahead: "Eksirei zilizo mbele ya hii: {}",
    known: "Eksirei hii ilitumwa tayari, kwa uchunguzi huu.",
    here: "Ipo tayari: {}",
    other_exam: "Eksirei hii hii ilitumwa tayari: {}. Hakikisha ni uchunguzi gani ulio sahihi.",
    not_sent: "Haikutumwa: {}",
    silent: "Pumua haijibu: angalia kama inafanya kazi, kisha jaribu tena",
    script: "Ili kutuma faili, ruhusu skripti ya ukurasa huu.",
    search: "Uchunguzi au rekodi",
    show: "Onyesha",
    find: "Tafuta",
    filter: |filter| match filter {
        Filter::All => Some("Zote"),
        Filter::Waiting => Some("Zinazosubiri"),
        Filter::Unanswered => Some("Bila jibu la tabibu"),
        _ => None,
    },
    none: "Hakuna eksirei hapa",
    no_match: "Hakuna kinacholingana na utafutaji huu.",
    searched: "Kinachotafutwa: uchunguzi, au sehemu yake, na namba ya rekodi. Majina ya faili hayahifadhiwi.",
    clear: "Futa utafutaji",
    part: "{} hadi {} kati ya {}",
    older: "Za zamani zaidi",
    newer: "Mpya zaidi",
    csv: "Pakua jedwali (CSV)",
    received: "Ilipokelewa",
    source: |source| match source {
        Source::Page => "kutoka ukurasa huu",
        Source::Folder => "kutoka folda inayoangaliwa",
        Source::Node => "kutoka mashine ya eksirei",
    },
    judged: "Ilichambuliwa",
    answer: "Jibu",
    site: "Mahali",
    clinician: "Tabibu anasema",
    opinion: |opinion| match opinion {
        Opinion::Other => Some("Kitu kingine"),
        Opinion::Undecided => Some("Hajaamua"),
        _ => None,
    },
    choose_one: "Chagua jibu moja kati ya haya",
    save: "Hifadhi",
    saved: "Imehifadhiwa {}",
    below: "Chini ya {} %: {}.",
    from: "Kuanzia {} %: {}.",
    next: [
        "Tabibu amwangalie mtoto kama kawaida. Mtoto anayeonekana mgonjwa anahitaji tabibu, hata jibu likisema nini.",
        "Tabibu asome eksirei na amwangalie mtoto.",
        "Hakuna maoni: tabibu asome eksirei na amwangalie mtoto.",
    ],
    unreliable: "Usilitegemee jibu hili: tabibu asome eksirei.",
    check: "Angalia picha: je, ni eksirei ya mtoto huyu, na kifua chote kimo ndani ya mstari wa bluu?",
    seen: "Kilichochambuliwa",
    sent: "Kilichotumwa",
    film: "Eksirei. Modeli huona tu kilicho ndani ya mstari wa bluu, kama upo",
    square: "Kinachoonwa na modeli",
    evidence: "Huonyesha wakati jibu linapotegemea kitu kilicho nje ya mapafu.",
    no_evidence: "Modeli haikupata mahali panapoonyesha nimonia waziwazi.",
    no_pictures: "Hakuna picha ya eksirei hii, au haihifadhiwi tena.",
    details: "Maelezo zaidi",
    box_record: "Rekodi ya kifaa",
    slip: "Karatasi ya kuchapisha",
    print: "Chapisha",
    signature: "Tabibu, tarehe, sahihi",
    judges: "Nani anachambua",
    nobody_yet: "haijulikani kabla ya jibu la kwanza",
    trouble: "Tatizo",
    no_trouble: "hakuna",
    of: "{} kati ya {}",
    space: "Nafasi ya eksirei, MiB",
    folder: "Folda inayoangaliwa",
    taken: "eksirei zilizochukuliwa tangu kuanza: {}; faili nyingine zilizoachwa: {}",
    no_folder: "hakuna",
    node: "Nodi ya DICOM",
    no_node: "hakuna",
    node_is: "jina la AE {}, anwani {}, lango {}",
    pacs: "Kwenda PACS",
    no_pacs: "hakuna",
    pacs_waits: "majibu yanayosubiri kutumwa: {}; yaliyotumwa tangu kuanza: {}",
    pacs_last: "Lililotumwa mwisho",
    pacs_aside: "Hayatatumwa kabla ya kesho au kuanza tena: {}",
    pacs_trouble: |trouble| match trouble {
        Trouble::Unreachable => {
            "hakuna muunganisho na PACS: angalia anwani na lango lake baada ya --pacs, kebo na mtandao"
        }
        Trouble::Silent => "PACS haijibu kwa wakati: angalia kama inafanya kazi, na mtandao",
        Trouble::Foreign => "kinachojibu si PACS kama ilivyokubaliwa: angalia anwani na lango baada ya --pacs",
        Trouble::Cut => {
            "PACS imekata muunganisho: angalia kwenye kumbukumbu zake kwa nini kompyuta hii hairuhusiwi kutuma"
        }
        Trouble::Busy => "PACS inakataa kwa sasa, wanaotuma ni wengi mno: subiri, itajaribiwa tena",
        Trouble::OwnTitle => {
            "PACS haitujui kama {}: andika huko jina hilo la AE na anwani ya kompyuta hii, au badilisha --aet"
        }
        Trouble::ItsTitle => "PACS haiitwi {}: sahihisha jina lake la AE baada ya --pacs",
        Trouble::Rejected => {
            "PACS inakataa kuitwa: angalia sababu kwenye kumbukumbu zake, na uruhusu kompyuta hii kutuma"
        }
        Trouble::NoCapture => "PACS haipokei Secondary Capture: ruhusu aina hiyo ya picha huko",
        Trouble::NoReport => {
            "PACS haipokei ripoti zenye muundo: ruhusu Comprehensive SR huko, kisha anza tena `pumua serve`"
        }
        Trouble::Full => "PACS imeishiwa nafasi: tengeneza nafasi huko, itajaribiwa tena",
        Trouble::NotNow(_) => "PACS haipokei jibu kwa sasa (hali {}): angalia kumbukumbu zake, itajaribiwa tena",
        Trouble::Refused(_) => {
            "PACS imekataa jibu (hali {}): angalia kumbukumbu zake, rekebisha, kisha anzisha `pumua serve` tena, itakayojaribu mara moja zaidi"
        }
        Trouble::NotMade => {
            "jibu haliwezi kutayarishwa ili litumwe, eksirei yake haipo tena au imebadilika: soma jibu kwenye ukurasa huu"
        }
        Trouble::Disk => "diski ina hitilafu, hakuna kinachotumwa kwa sasa: tengeneza nafasi, au rekebisha ruhusa zake",
    },
    consoles_did: "Mashine za eksirei zilifanya nini mwisho",
    no_consoles: "Bado hakuna",
    consoles: |what| match what {
        What::Echo => "C-ECHO ya {} imejibiwa",
        What::Taken => "{} zimepokelewa kutoka {}, {} kati yake zilikuwepo tayari",
        What::Nothing => "{} iliunganishwa na haikutuma chochote",
        What::Idle => "imekatishwa, hakuna kilichoombwa kwa dakika mbili",
        What::NotCalled => {
            "imekataliwa, mashine inatuita {}, sisi ni {}: andika {} kwenye mashine kama jina la AE linaloitwa"
        }
        What::Stranger => {
            "imekataliwa, hakuna anayeruhusiwa kutuma kutoka anwani hii: itaje kwa --peer unapoanzisha `pumua serve`"
        }
        What::NotNamed => "imekataliwa, mashine inajiita {}, na --peer inasema vingine: sahihisha mojawapo",
        What::Busy => "imekataliwa kwa sasa, zinazotuma kwa pamoja ni nyingi mno: subiri, kisha tuma tena",
        What::NoKind => "hakuna kinachotolewa na {} kinachopokelewa: tuma kama CR, DX au Secondary Capture",
        What::NoSyntax => "hakuna namna ya uandishi inayotolewa na {} inayopokelewa: tuma bila kubana",
        What::Foreign => {
            "imekatishwa, kilichokuja si DICOM kama ilivyokubaliwa: angalia anwani na lango kwenye mashine, kisha jaribu C-ECHO"
        }
        What::Slow => "imekatishwa, kilichofika kwa wakati ni kidogo mno: angalia kebo na mtandao",
        What::Cut => "imekatika katikati ya eksirei, ambayo haikuhifadhiwa: itume tena",
        What::TooLarge => "haikuhifadhiwa, eksirei ya zaidi ya MiB 32: itume kwa ukubwa mdogo",
        What::NoRoom => "haikuhifadhiwa, hakuna nafasi au diski ina hitilafu: tengeneza nafasi, kisha tuma tena",
        What::OtherKind => "haikuhifadhiwa, eksirei si kile kilichotangazwa: tuma kama CR, DX au Secondary Capture",
        What::NotUnderstood => "haikuhifadhiwa, eksirei haisomeki: tuma bila kubana, na mashine ikaguliwe",
    },
    update: "Sasisha kifaa",
    update_drop: "Weka faili hapa, au",
    update_choose: "Chagua faili",
    update_hint: "Faili inayoishia na .pumua, yenye programu nyingine ya kifaa. Kifaa chenyewe hukagua ni nani aliyeisaini. Modeli hutumwa kwa `pumua update`.",
    update_send: "Tuma kwenye kifaa",
    update_stop: "Simamisha usasishaji",
    update_large: "faili inazidi MiB 64, hivyo si programu ya kifaa: chagua nyingine",
    update_other: "usasishaji mwingine unaendelea: subiri umalizike, au usimamishe",
    update_unsigned: "Hakuna aliyeisaini: kifaa cha majaribio pekee huipokea.",
    update_sending: "{} inatumwa kwenye kifaa: {} %. Eksirei hutangulia.",
    update_installing: "Kifaa kinakagua {} na kuihifadhi: usikizime.",
    update_troubled: "{} inasubiri, na itaendelea yenyewe: {}",
    update_staged: "Kifaa kina {}: kizime kisha kiwashe ili kuianza.",
    update_running: "Kifaa tayari kinatumia {}.",
    update_refused: "Kifaa hakipokei {}, na kinabaki na programu kiliyonayo: {}",
    update_given_up: "Kutuma {} kumeshindikana: {}. Kifaa kinabaki na programu kiliyonayo, na sehemu ya mpya iliyofika. Tuma faili hiyo hiyo tena ili kuendelea.",
    update_stopped: "Kutuma {} kumesimamishwa. Kifaa kinabaki na programu kiliyonayo, na sehemu ya mpya iliyofika. Tuma faili hiyo hiyo tena ili kuendelea.",
    steps: [
        "Weka faili moja au zaidi kwenye ukurasa, au zichague. Faili ni eksirei moja ya kifua ya mtoto, iliyopigwa kutoka mbele.",
        "Andika uchunguzi unaitwaje, ili uupate tena. Usiandike kamwe jina la mgonjwa.",
        "Bonyeza Chambua, kisha subiri sekunde chache.",
        "Soma jibu. Tabibu ndiye anayeamua, hata jibu likisema nini; mtoto anayeonekana mgonjwa anahitaji tabibu.",
        "Angalia kilichochambuliwa: je, ni eksirei ya mtoto huyu, na kifua chote kimo ndani ya mstari wa bluu?",
        "Andika tabibu anachosema, kisha chapisha karatasi.",
    ],
    meant: [
        "Hakuna dalili ya nimonia iliyoonekana. Nimonia nyingine hupita bila kuonekana.",
        "Nimonia inashukiwa. Hukosea katika baadhi ya eksirei za kawaida.",
        "Hakuna maoni: lazima tabibu aamue.",
    ],
    meant_not_judged: "Hakuna jibu. Maandishi yanataja sababu na la kufanya.",
    code: "Andika tarakimu sita zinazoonyeshwa na terminali ya Pumua",
    wrong_code: "Huu si msimbo.",
    locked: "Misimbo isiyo sahihi iliandikwa: subiri dakika moja au zaidi, kisha tumia msimbo unaoonyeshwa wakati huo.",
    enter: "Endelea",
    foreign: "Kipindi kimeisha, au ombi halitoki kwenye ukurasa huu: fungua ukurasa tena.",
    missing: "Hakuna ukurasa huo.",
    back: "Eksirei zote",
};
