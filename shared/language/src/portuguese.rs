use shared::{
    age::Span,
    verdict::{Fault, ModelRefusal, Refusal, SiteRefusal, SoftwareRefusal, Trust, Verdict},
};

use super::{Console, Notice, Step, StickTrouble, Words, children};

pub(crate) static WORDS: Words = Words {
    disclaimer: "Ferramenta de investigação, não é um dispositivo médico",
    synthetic: "MODELO SINTÉTICO: SEM VALOR MÉDICO",
    unsigned: "TESTE: ACEITA MODELOS NÃO ASSINADOS",
    test_key: "CHAVE DE TESTE: QUALQUER PESSOA PODE ASSINAR",
    test_key_fell_back: "CHAVE DE TESTE; ESPERAVA-SE OUTRO MODELO",
    fell_back: "MODELO INUTILIZÁVEL: OUTRO AVALIA",
    model: "Modelo",
    starting: "A INICIAR",
    step: |step| match step {
        Step::Drivers => "A carregar os controladores",
        Step::Storage => "A abrir o armazenamento",
        Step::Model => "A carregar o modelo",
        Step::Lines => "A abrir as ligações",
    },
    stopped: Notice { word: "PARADO", meaning: "O aparelho foi parado" },
    ready: Notice { word: "PRONTO", meaning: "Envie uma radiografia" },
    blanked: Notice { word: "PRONTO", meaning: "O último resultado está nos resultados anteriores" },
    pairing: Notice { word: "CÓDIGO", meaning: "Para um computador que quer ler os resultados" },
    results: "Resultados",
    changed: "Novo modelo",
    program_changed: "Novo programa",
    program_staged: "Novo programa: desligue e volte a ligar o aparelho",
    program_went_back: "O novo programa não arrancou: o antigo continua",
    settings_staged: "Outras definições: desligue e ligue o aparelho",
    settings_new: "Há novas definições em vigor",
    settings_not_used: "As definições enviadas não podem ser usadas",
    settings_key_added: "Chave adicionada: reenvie as definições",
    signed: |trust| match trust {
        Trust::Signed => "assinado",
        Trust::BuiltIn => "incluído",
        Trust::TestKey => "CHAVE DE TESTE",
        Trust::Unsigned => "não assinado",
    },
    digest: "ID do modelo",
    version: "Versão",
    receiving: "A RECEBER",
    updating: "A ATUALIZAR",
    updating_program: "NOVO PROGRAMA",
    analysing: Notice { word: "A ANALISAR", meaning: "Aguarde, por favor" },
    verdict: |verdict| match verdict {
        Verdict::Normal => Notice { word: "NORMAL", meaning: "Nenhuma pneumonia visível;\nnão está excluída" },
        Verdict::Pneumonia => Notice { word: "PNEUMONIA", meaning: "Suspeita de pneumonia" },
        Verdict::Refer => Notice { word: "ENCAMINHAR", meaning: "Um clínico deve decidir" },
    },
    probability: ["Probabilidade", "de pneumonia"],
    decimal: ",",
    threshold: "Limiar {} %",
    band: "Encaminhar de {} a {} %",
    of_pneumonia: "Em 100 pneumonias",
    of_normal: "Em 100 imagens normais",
    said: "{}: {} dadas como normais, {} a encaminhar, {} como pneumonia",
    measured_on: |hospitals| match hospitals {
        None => "em imagens de teste de hospitais desconhecidos".to_owned(),
        Some(1) => "em imagens de teste de um só hospital".to_owned(),
        Some(n) => format!("em imagens de teste de {n} hospitais"),
    },
    exam: "Exame",
    nth: |n| format!("imagem {n} deste exame"),
    record: "Registo",
    prepared: "preparada",
    span: |span| match span {
        Span::Months(1) => "1 mês".to_owned(),
        Span::Months(months) => format!("{months} meses"),
        Span::Years(1) => "1 ano".to_owned(),
        Span::Years(years) => format!("{years} anos"),
    },
    either: "{} ou {}",
    patient_age: "Idade: {}",
    age_unknown: "Idade desconhecida",
    age_overridden: "Idade ignorada: {}",
    meant: |ages| match ages {
        Some([from, to]) => format!("O modelo é para {} de {from} a {to} anos", who(to)),
        None => "Não se sabe para que idades é o modelo".to_owned(),
    },
    now: "agora mesmo",
    minutes_ago: "há {} min",
    hours_ago: "há {} h",
    past: "RESULTADO ANTERIOR: {}",
    caption: ["Contornos: para onde o modelo olhou.", "Não é um diagnóstico."],
    not_judged: "NÃO ANALISADA",
    error: "ERRO",
    safe_mode: "MODO DE SEGURANÇA",
    code: "Código",
    refusal: |refusal| refused(refusal).to_owned(),
    fault: |fault| failed(fault).to_owned(),
    model_refusal: |refusal| not_installed(refusal).to_owned(),
    software_refusal: |refusal| not_taken(refusal).to_owned(),
    site_refusal: |refusal| not_changed(refusal).to_owned(),
    line_lost: "a ligação ao computador foi cortada: volte a ligar o cabo; o aparelho continua sozinho",
    safe: "o programa do aparelho falhou várias vezes e já não analisa nada: recolha os resultados, depois corte a corrente e volte a ligá-lo; se isto voltar, grave o cartão de novo",
    no_storage: "não é possível guardar resultados, por isso nada é analisado: recolha os resultados e use outro cartão de memória",
    chain_broken: "resultados guardados foram alterados ou perdidos: recolha os resultados e avise o responsável pelo aparelho",
    console: |reason| match reason {
        Console::NotCalled => "o aparelho de raios X chama-nos {}, nós somos {}: escreva lá {} como título AE chamado",
        Console::NotNamed => {
            "o aparelho de raios X chama-se {}, as definições deste aparelho dizem outra coisa: corrija um dos dois"
        }
        Console::Stranger => {
            "um aparelho de raios X no endereço {} quis enviar e não pode: acrescente esse endereço a `peers` nas definições deste aparelho"
        }
        Console::Unfit => {
            "nada do que {} oferece pode ser analisado: envie sem compressão, como CR, DX ou Secondary Capture"
        }
    },
    journal: "Registo",
    broken: "alterado antes de {}",
    stick: "RADIOGRAFIAS NA PEN",
    newest: "a mais recente",
    stick_countdown: "A mais recente é analisada dentro de {} s. As setas escolhem outra.",
    stick_choose: "Enter analisa a escolhida, Esc sai da lista.",
    stick_reading: "A ler a pen. Não a retire.",
    stick_marked: "NA PEN",
    stick_program: "Receber o novo programa {}",
    stick_results: "Gravar os resultados nesta pen",
    stick_take: "Enter faz o que está escolhido, Esc sai da lista.",
    results_asked: Notice {
        word: "GRAVAR RESULTADOS?",
        meaning: "o aparelho tem {} resultados: prima Enter para os gravar na pen, ou retire a pen para sair",
    },
    results_writing: "A GRAVAR RESULTADOS",
    results_done: "{} de {}",
    results_written: Notice {
        word: "RESULTADOS GRAVADOS",
        meaning: "estão na pasta PUMUA da pen, como {}: retire a pen",
    },
    program_asked: Notice {
        word: "NOVO PROGRAMA?",
        meaning: "na pen está o programa {}: prima Enter para o receber, ou retire a pen para sair",
    },
    results_page: "Resultados do aparelho",
    time: "Hora",
    verdicts: "Veredicto",
    notes: "Notas",
    stick_trouble: |trouble| match trouble {
        StickTrouble::NoFilms => {
            "não há radiografias na pen: copie para ela ficheiros DICOM, JPEG ou PNG de 32 MiB no máximo"
        }
        StickTrouble::TooMany => "há demasiados ficheiros na pen: copie os de um só doente para uma pen vazia",
        StickTrouble::Unreadable => {
            "não é possível ler a pen: formate-a em FAT32 ou exFAT num computador e copie de novo as radiografias"
        }
        StickTrouble::Pulled => {
            "uma radiografia da pen não pôde ser lida até ao fim: volte a ligar a pen e deixe-a até haver resultado"
        }
        StickTrouble::Busy => {
            "um computador está a usar o aparelho, por isso nada da pen é analisado: espere que acabe e volte a ligar a pen"
        }
        StickTrouble::Interrupted => {
            "a pen foi retirada, ou falhou, antes de todos os resultados serem gravados, e nada se perdeu no aparelho: volte a ligá-la e grave-os de novo"
        }
        StickTrouble::Full => {
            "a pen está cheia, por isso nem todos os resultados foram gravados: liberte espaço ou use outra pen"
        }
        StickTrouble::WriteProtected => "a pen está protegida contra escrita: mude o interruptor dela ou use outra pen",
        StickTrouble::NoMark => "a pasta PUMUA já não está na pen: crie-a num computador e volte a ligar a pen",
        StickTrouble::NoName => {
            "a pasta PUMUA tem estes resultados com todos os nomes que o aparelho dá: tire de lá os ficheiros num computador"
        }
        StickTrouble::NoResults => {
            "não é possível ler os resultados guardados, por isso nem todos foram gravados: leia-os com um computador e verifique o cartão de memória do aparelho"
        }
        StickTrouble::NotClosed => {
            "os resultados foram gravados, mas a pen não confirmou que está tudo lá: verifique os ficheiros num computador"
        }
        StickTrouble::ProgramNotTaken => {
            "o novo programa da pen não foi recebido até ao fim: volte a ligar a pen e deixe-a; o aparelho continua onde estava"
        }
    },
    restart: "Corrija isto e volte a ligar o aparelho.",
    history: "RESULTADOS ANTERIORES",
    no_results: "Ainda não há resultados",
    other_model: "Outro modelo",
    page: "Página",
    time_unknown: "hora desconhecida",
    about: "SOBRE O APARELHO",
    made_for: "Feito para",
    ages: |ages| match ages {
        Some([from, to]) => format!("radiografias frontais do tórax de {} de {from} a {to} anos", who(to)),
        None => "radiografias frontais do tórax; não se sabe de que idades".to_owned(),
    },
    measured: "Medido",
    not_measured: "não medido com este ajuste",
    way_back: "Voltar atrás",
    go_back_offer: "Mantenha Enter premida três segundos para voltar ao programa anterior ({})",
    go_back: Notice {
        word: "VOLTAR ATRÁS?",
        meaning: "o programa anterior ({}) voltaria a funcionar, com os defeitos que tinha: mantenha outra vez Enter premida três segundos para voltar a ele; Esc sai",
    },
    older_offer: "Mantenha Enter premida três segundos se quer mesmo o modelo mais antigo; é então aceite uma vez, dentro de dez minutos.",
    older_model: Notice {
        word: "UM MODELO MAIS ANTIGO?",
        meaning: "os resultados podem ser piores: mantenha outra vez Enter premida três segundos e envie de novo o modelo dentro de dez minutos; Esc sai",
    },
    offered_key: "uma chave desconhecida ({}) assinou estas definições: compare-a com o computador; se for a mesma, mantenha Enter premida três segundos",
    add_key: Notice {
        word: "ADICIONAR A CHAVE?",
        meaning: "quem tem a chave {} poderá mudar definições deste aparelho: compare-a outra vez, mantenha Enter premida de novo três segundos e reenvie as definições; Esc sai",
    },
    site_page: "DEFINIÇÕES DO CENTRO",
    site_offer: "Definições: i",
    site_file: "definições {}, contador {}, chave {}",
    site_keys: "chaves do centro {}",
    forget_offer: "mantenha Enter premida três segundos para as esquecer; contam então as definições do cartão",
    forget_site: Notice {
        word: "ESQUECER?",
        meaning: "as definições enviadas e as chaves do centro desapareceriam: mantenha Enter premida de novo três segundos para as esquecer; Esc sai",
    },
};

/// Whom a model is for whose oldest patients are of so many years.
fn who(oldest: u8) -> &'static str {
    if children(oldest) { "crianças" } else { "doentes" }
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Empty => "o ficheiro está vazio: exporte de novo a radiografia",
        Refusal::UnknownFormat => {
            "isto não é uma imagem DICOM, JPEG, PNG, TIFF, BMP ou WebP: exporte a radiografia num destes formatos"
        }
        Refusal::Corrupt => "a imagem está danificada ou incompleta: exporte-a ou copie-a de novo",
        Refusal::TooManyBytes => "o ficheiro tem mais de 32 MiB: exporte-o num tamanho menor",
        Refusal::TooManyPixels => "a imagem tem demasiados píxeis: exporte-a num tamanho menor, em tons de cinzento",
        Refusal::TooSmall => "a imagem tem um lado com menos de 32 píxeis: exporte-a em tamanho real",
        Refusal::UnsupportedColour => {
            "este modelo de cores não é aceite: exporte a radiografia em tons de cinzento ou em RGB"
        }
        Refusal::Animated => "o ficheiro contém várias imagens: exporte apenas uma",
        Refusal::DigestMismatch => "a imagem recebida é diferente da que foi enviada: envie-a de novo",
        Refusal::ContractMismatch => "a imagem foi preparada para outro modelo: envie-a de novo",
        Refusal::Coloured => {
            "isto é uma imagem a cores, não uma radiografia: exporte a radiografia em tons de cinzento"
        }
        Refusal::Elongated => "a imagem é uma faixa estreita: envie toda a radiografia frontal do tórax",
        Refusal::Blank => "a imagem está vazia ou quase sem contraste: exporte de novo a radiografia",
        Refusal::TooDark => "a imagem está demasiado escura: exporte-a com o brilho e o contraste habituais",
        Refusal::TooBright => "a imagem está demasiado clara: exporte-a com o brilho e o contraste habituais",
        Refusal::UpsideDown => {
            "a radiografia parece estar de cabeça para baixo: se a cabeça estiver em baixo, rode-a meia volta e envie-a de novo"
        }
        Refusal::OnItsSide => {
            "a radiografia parece deitada de lado: se estiver, rode-a até a cabeça ficar para cima e envie-a de novo"
        }
        Refusal::Negative => {
            "a radiografia parece um negativo: se os ossos estiverem escuros, inverta-a e envie-a de novo"
        }
        Refusal::Cropped => "a imagem não mostra todo o tórax: envie toda a radiografia frontal do tórax",
        Refusal::NotAChest => "isto não parece uma radiografia frontal do tórax: verifique se enviou a imagem certa",
        Refusal::Unfamiliar => "a imagem é diferente das que o modelo aprendeu: peça a um clínico que a leia",
        Refusal::Mirrored => {
            "a esquerda e a direita parecem trocadas: verifique a marca do lado, ou peça a um clínico que leia a imagem"
        }
        Refusal::PreviewMismatch => {
            "a imagem para o ecrã não é a que deve ser analisada: envie o ficheiro inteiro, não preparado"
        }
        Refusal::UnsupportedKind => {
            "este tipo de imagem não é suportado: exporte a radiografia como JPEG comum ou como PNG"
        }
        Refusal::TooMuchWork => {
            "a imagem demoraria demasiado a descodificar: exporte-a como JPEG comum, não progressivo, ou como PNG"
        }
        Refusal::UncertainOrientation => {
            "a radiografia pode estar rodada ou ser um negativo: veja-a; se a cabeça estiver em cima e os ossos brancos, peça a um clínico que a leia"
        }
        Refusal::OverrideNotAllowed => {
            "esta caixa não avalia doentes de outra idade que a do modelo: peça a um clínico que leia a radiografia, ou permita-o nas definições"
        }
        Refusal::UnsupportedCompression => "a compressão deste ficheiro DICOM não é suportada: envie-o sem compressão",
        Refusal::OtherModality => {
            "segundo o ficheiro, isto não é uma radiografia simples: verifique se enviou o ficheiro certo"
        }
        Refusal::OtherBodyPart => {
            "segundo o ficheiro, isto não é uma radiografia do tórax: verifique se enviou o ficheiro certo"
        }
        Refusal::SideView => {
            "segundo o ficheiro, esta é uma vista de perfil ou oblíqua: envie a radiografia frontal do tórax"
        }
        Refusal::ForProcessing => {
            "o ficheiro tem dados brutos do aparelho, por processar: envie a radiografia para apresentação"
        }
        Refusal::TooYoung => {
            "segundo o ficheiro, o doente é mais novo do que as crianças do modelo: peça a um clínico que leia a imagem"
        }
        Refusal::TooOld => {
            "segundo o ficheiro, o doente é mais velho do que as crianças do modelo: peça a um clínico que leia a imagem"
        }
    }
}

fn not_installed(refusal: ModelRefusal) -> &'static str {
    match refusal {
        ModelRefusal::TooLarge => "o modelo tem mais de 4 MiB: use uma rede mais pequena",
        ModelRefusal::DigestMismatch => "o modelo recebido é diferente do que foi enviado: envie-o de novo",
        ModelRefusal::NotAModel => "isto não é um modelo, ou está danificado: copie-o de novo",
        ModelRefusal::WrongCard => "a ficha do modelo falta ou não pode ser usada: use um modelo desta versão",
        ModelRefusal::NotRunnable => "a rede não pode ser executada: use um modelo desta versão",
        ModelRefusal::NoProfile => "o modelo não tem o perfil definido no aparelho: use um que o tenha",
        ModelRefusal::NotStored => {
            "o aparelho não conseguiu guardar o modelo: verifique o cartão de memória e envie-o de novo"
        }
        ModelRefusal::TooSlow => {
            "o modelo precisa de mais tempo ou memória do que o aparelho tem: use uma rede mais pequena"
        }
        ModelRefusal::NotSigned => "o modelo não está assinado: envie um que esteja",
        ModelRefusal::Older => "o modelo é mais antigo do que um que este aparelho já teve: envie um mais recente",
        ModelRefusal::UnknownKey => {
            "o aparelho não conhece a chave que assinou o modelo: envie-o com a lista de chaves que a nomeia"
        }
        ModelRefusal::WrongAnswers => {
            "o modelo não distingue pneumonia de normal em imagens conhecidas: não o use e comunique de onde vem"
        }
        ModelRefusal::RevokedKey => {
            "a chave que assinou o modelo foi revogada: peça que o modelo seja assinado com outra chave"
        }
        ModelRefusal::WrongSignature => {
            "a assinatura não é a deste modelo: copie de novo o modelo e a assinatura, e não os use se isto voltar"
        }
        ModelRefusal::OtherBox => "o modelo é para outro tipo de aparelho: envie um que seja para este",
        ModelRefusal::WrongKeys => {
            "faltam assinaturas na lista de chaves que veio com o modelo: envie-o com uma lista assinada pelos responsáveis em número suficiente"
        }
        ModelRefusal::NeedsNewerBox => {
            "o modelo precisa de uma versão mais recente do programa do aparelho: atualize-o primeiro"
        }
    }
}

fn not_taken(refusal: SoftwareRefusal) -> &'static str {
    match refusal {
        SoftwareRefusal::NoSlots => {
            "o cartão deste aparelho não tem lugar para um segundo programa: grave-o de novo com `pumua flash --keep-results`"
        }
        SoftwareRefusal::NotABundle => "isto não é um programa para o aparelho, ou está danificado: copie-o de novo",
        SoftwareRefusal::NotSigned => "o programa não está assinado: envie um que esteja",
        SoftwareRefusal::KeyUnknown => {
            "o aparelho não conhece a chave que assinou o programa: peça que seja assinado com a lista de chaves que a nomeia"
        }
        SoftwareRefusal::KeyRevoked => {
            "a chave que assinou o programa foi revogada: peça que o programa seja assinado com outra chave"
        }
        SoftwareRefusal::WrongSignature => {
            "a assinatura não é a deste programa: copie-o de novo, e não o use se isto voltar"
        }
        SoftwareRefusal::OtherKind => "a assinatura não é de um programa: peça que o programa seja assinado",
        SoftwareRefusal::OtherLine => "o programa é para outro tipo de aparelho: envie um que seja para este",
        SoftwareRefusal::NeedsNewer => {
            "este programa precisa primeiro de outro, mais recente que o do aparelho: envie primeiro esse, ou grave o cartão de novo"
        }
        SoftwareRefusal::Older => "o programa é mais antigo do que um que este aparelho já teve: envie um mais recente",
        SoftwareRefusal::List => {
            "faltam assinaturas na lista de chaves que veio com o programa: peça uma lista assinada pelos responsáveis em número suficiente"
        }
        SoftwareRefusal::NotStored => {
            "o aparelho não conseguiu guardar o programa: verifique o cartão de memória e envie-o de novo"
        }
        SoftwareRefusal::OnTrial => {
            "o programa atual está ele próprio à prova: espere alguns minutos e envie de novo o novo programa"
        }
    }
}

fn not_changed(refusal: SiteRefusal) -> &'static str {
    match refusal {
        SiteRefusal::NotSettings => {
            "isto não são definições para enviar, ou uma delas só é permitida no cartão: corrija-as e mande assiná-las de novo"
        }
        SiteRefusal::NotSigned => "as definições não estão assinadas: mande assiná-las",
        SiteRefusal::KeyUnknown => {
            "o aparelho não conhece a chave que assinou as definições: envie-as com a lista de chaves que a nomeia, ou com --add-key enquanto o aparelho mostra PRONTO"
        }
        SiteRefusal::KeyRevoked => {
            "a chave que assinou as definições foi revogada: mande assinar as definições com outra chave"
        }
        SiteRefusal::WrongSignature => {
            "a assinatura não é destas definições: copie de novo as duas, e não as use se isto continuar"
        }
        SiteRefusal::OtherKind => "a assinatura não é de definições: mande assinar as definições",
        SiteRefusal::OtherLine => "as definições são para outro tipo de aparelho: envie definições feitas para este",
        SiteRefusal::NeedsNewer => {
            "as definições precisam de uma versão mais recente do programa do aparelho: atualize-o primeiro"
        }
        SiteRefusal::Older => {
            "as definições são mais antigas do que outras que este aparelho já teve: mande assiná-las de novo com um contador maior"
        }
        SiteRefusal::List => {
            "o aparelho não acredita em signatários suficientes da lista de chaves enviada com as definições: envie-as com uma lista assinada por bastantes deles"
        }
        SiteRefusal::NotStored => {
            "o aparelho não conseguiu guardar as definições: verifique o cartão de memória e envie-as de novo"
        }
        SiteRefusal::Unfit => {
            "as definições não se ajustam às do cartão do aparelho: corrija `aet` ou `peers` e mande assiná-las de novo"
        }
        SiteRefusal::KeyOffered => {
            "o aparelho pergunta se deve acreditar na chave: compare o que o ecrã mostra com o computador, mantenha Enter premida três segundos, duas vezes, e reenvie as definições"
        }
        SiteRefusal::TooManyKeys => {
            "o aparelho já tem tantas chaves do centro quantas guarda: mande esquecê-las no aparelho e adicione então esta"
        }
    }
}

fn failed(fault: Fault) -> &'static str {
    match fault {
        Fault::Protocol => "a mensagem não era esperada: atualize o computador e o aparelho para a mesma versão",
        Fault::Timeout => "a ligação esteve sem dados demasiado tempo: verifique o cabo e envie a imagem de novo",
        Fault::Busy => "outro computador está a usar o aparelho: espere que termine",
        Fault::Storage => "não foi possível guardar ou ler um resultado: verifique o cartão de memória do aparelho",
        Fault::Inference => "não foi possível executar o modelo: instale outro modelo no aparelho",
        Fault::Internal => "o aparelho teve uma falha interna: reinicie-o e comunique o que foi enviado",
        Fault::TooFast => "o aparelho recebeu demasiado em pouco tempo: espere dez minutos e envie o resto",
        Fault::NotPaired => {
            "o aparelho só mostra isto a um computador que tem o seu código: escreva o código que está no ecrã"
        }
        Fault::Screen => {
            "o ecrã do aparelho não mostra nada de novo: verifique o ecrã e o cabo, e não confie no que ele mostra"
        }
    }
}
