use super::Words;
use crate::{
    node::What,
    outbox::Trouble,
    record::{Opinion, Source},
    store::Filter,
};

pub(super) static WORDS: Words = Words {
    films: "Radiografias",
    state: "Estado",
    help: "Ajuda",
    leave: "Terminar a sessão",
    language: "Língua",
    skip: "Ir para o conteúdo",
    judge_films: "Analisar radiografias",
    drop: "Largue aqui ficheiros de radiografias, ou",
    choose: "Escolha ficheiros",
    kinds: "DICOM, JPEG, PNG, TIFF, BMP ou WebP; no máximo 32 MiB cada",
    exam_hint: "Opcional: letras, algarismos, '.', '_', '-'. Nunca o nome de um doente",
    exam_wrong: "Só letras de A a Z sem acentos, algarismos, '.', '_' e '-', sem espaços",
    judge: "Analisar",
    remove: "Retirar",
    sending: "A enviar",
    waiting: "À espera",
    ahead: "Radiografias antes desta: {}",
    known: "Esta radiografia já foi enviada, com este exame.",
    here: "Já aqui está: {}",
    other_exam: "A mesma radiografia já foi enviada: {}. Verifique qual é o exame certo.",
    not_sent: "Não enviada: {}",
    silent: "O Pumua não responde: verifique que está a funcionar e tente de novo",
    script: "Para enviar ficheiros, permita o script desta página.",
    search: "Exame ou registo",
    show: "Mostrar",
    find: "Procurar",
    filter: |filter| match filter {
        Filter::All => Some("Todas"),
        Filter::Waiting => Some("À espera"),
        Filter::Unanswered => Some("Sem resposta do clínico"),
        _ => None,
    },
    none: "Não há radiografias aqui",
    part: "{} a {} de {}",
    older: "Mais antigas",
    newer: "Mais recentes",
    csv: "Descarregar uma tabela (CSV)",
    received: "Recebida",
    source: |source| match source {
        Source::Page => "desta página",
        Source::Folder => "da pasta vigiada",
        Source::Node => "da máquina de raios X",
    },
    judged: "Analisada",
    answer: "Veredicto",
    site: "Local",
    clinician: "O clínico diz",
    opinion: |opinion| match opinion {
        Opinion::Other => Some("Outra coisa"),
        Opinion::Undecided => Some("Indeciso"),
        _ => None,
    },
    choose_one: "Escolha uma destas respostas",
    save: "Guardar",
    saved: "Guardado {}",
    below: "Menos de {} %: {}.",
    from: "A partir de {} %: {}.",
    seen: "O que foi analisado",
    sent: "O que foi enviado",
    film: "A radiografia. O modelo só vê o que está dentro da linha azul, se a houver",
    square: "O que o modelo vê",
    no_evidence: "O modelo não encontrou nenhum lugar que indique claramente pneumonia.",
    no_pictures: "Não há imagem desta radiografia, ou já não está guardada.",
    details: "Detalhes",
    box_record: "Registo do aparelho",
    slip: "Folha para imprimir",
    print: "Imprimir",
    signature: "Clínico, data, assinatura",
    judges: "Quem analisa",
    nobody_yet: "desconhecido antes do primeiro resultado",
    trouble: "Problema",
    no_trouble: "nenhum",
    of: "{} de {}",
    space: "Espaço para radiografias, MiB",
    folder: "Pasta vigiada",
    taken: "radiografias recolhidas desde o início: {}; outros ficheiros ignorados: {}",
    no_folder: "nenhuma",
    node: "Nó DICOM",
    no_node: "nenhum",
    node_is: "título AE {}, endereço {}, porta {}",
    pacs: "Para o PACS",
    no_pacs: "nenhum",
    pacs_waits: "respostas por enviar: {}; enviadas desde o início: {}",
    pacs_last: "Último envio",
    pacs_aside: "Não enviadas antes de amanhã ou do próximo início: {}",
    pacs_trouble: |trouble| match trouble {
        Trouble::Unreachable => "sem ligação ao PACS: verifique o endereço e a porta depois de --pacs, o cabo e a rede",
        Trouble::Silent => "o PACS não responde a tempo: verifique se está a funcionar, e a rede",
        Trouble::Foreign => {
            "o que responde não é um PACS como combinado: verifique o endereço e a porta depois de --pacs"
        }
        Trouble::Cut => "o PACS interrompeu a ligação: veja no registo dele porque não deixa este computador enviar",
        Trouble::Busy => "o PACS recusa por agora, há demasiados envios: espere, tenta-se de novo",
        Trouble::OwnTitle => {
            "o PACS não nos conhece como {}: introduza lá esse título AE e o endereço deste computador, ou mude --aet"
        }
        Trouble::ItsTitle => "o PACS não se chama {}: corrija o título AE dele depois de --pacs",
        Trouble::Rejected => "o PACS recusa a chamada: veja o motivo no registo dele, e deixe este computador enviar",
        Trouble::NoCapture => "o PACS não aceita Secondary Capture: permita lá esse tipo de imagem",
        Trouble::NoReport => {
            "o PACS não aceita relatórios estruturados: permita lá Comprehensive SR e inicie de novo `pumua serve`"
        }
        Trouble::Full => "o PACS está sem recursos: arranje espaço lá, tenta-se de novo",
        Trouble::NotNow(_) => "o PACS não aceita uma resposta agora (estado {}): veja o registo dele, tenta-se de novo",
        Trouble::Refused(_) => {
            "o PACS recusou uma resposta (estado {}): veja o registo dele, corrija e inicie de novo `pumua serve`, que tenta mais uma vez"
        }
        Trouble::NotMade => {
            "uma resposta não pode ser preparada para o envio, a radiografia já não existe ou mudou: leia a resposta nesta página"
        }
        Trouble::Disk => "o disco falha, nada é enviado por agora: arranje espaço, ou corrija os direitos",
    },
    consoles_did: "O que as consolas fizeram por último",
    no_consoles: "Ainda nada",
    consoles: |what| match what {
        What::Echo => "C-ECHO de {} respondido",
        What::Taken => "{} recebidas de {}, {} delas já cá estavam",
        What::Nothing => "{} ligou-se e não enviou nada",
        What::Idle => "terminado, nada foi pedido durante dois minutos",
        What::NotCalled => "recusado, a consola chama-nos {}, somos {}: escreva {} na consola como título AE chamado",
        What::Stranger => "recusado, ninguém pode enviar deste endereço: indique-o com --peer ao iniciar `pumua serve`",
        What::NotNamed => "recusado, a consola chama-se {}, e --peer diz outra coisa: corrija um dos dois",
        What::Busy => "recusado por agora, demasiados envios ao mesmo tempo: espere e envie de novo",
        What::NoKind => "nada do que {} oferece é aceite: envie como CR, DX ou Secondary Capture",
        What::NoSyntax => "nenhuma codificação que {} oferece é aceite: envie sem compressão",
        What::Foreign => {
            "terminado, o que chegou não é DICOM como combinado: verifique o endereço e a porta na consola e experimente C-ECHO"
        }
        What::Slow => "terminado, chegou muito pouco no tempo previsto: verifique o cabo e a rede",
        What::Cut => "interrompido no meio de uma radiografia, que não é guardada: envie-a de novo",
        What::TooLarge => "não guardada, uma radiografia de mais de 32 MiB: envie-a em tamanho menor",
        What::NoRoom => "não guardada, não há espaço ou o disco falha: arranje espaço e envie de novo",
        What::OtherKind => {
            "não guardada, uma radiografia não é o que foi anunciado: envie como CR, DX ou Secondary Capture"
        }
        What::NotUnderstood => {
            "não guardada, uma radiografia que não se consegue ler: envie sem compressão e mande verificar a consola"
        }
    },
    update: "Atualizar o aparelho",
    update_drop: "Largue o ficheiro aqui, ou",
    update_choose: "Escolha um ficheiro",
    update_hint: "Um ficheiro que termina em .pumua, com outro programa para o aparelho. O próprio aparelho verifica quem o assinou. Um modelo envia-se com `pumua update`.",
    update_send: "Enviar ao aparelho",
    update_stop: "Parar a atualização",
    update_large: "o ficheiro tem mais de 64 MiB, por isso não é um programa para um aparelho: escolha outro",
    update_other: "outra atualização está em curso: espere que termine, ou pare-a",
    update_unsigned: "Ninguém o assinou: só um aparelho de desenvolvimento o aceita.",
    update_sending: "{} está a ser enviado ao aparelho: {} %. As radiografias vão primeiro.",
    update_installing: "O aparelho verifica {} e guarda-o: deixe-o ligado.",
    update_troubled: "{} espera, e continua sozinho: {}",
    update_staged: "O aparelho tem {}: desligue-o e ligue-o para o iniciar.",
    update_running: "O aparelho já usa {}.",
    update_refused: "O aparelho não aceita {}, e fica com o programa que tem: {}",
    update_given_up: "O envio de {} falhou: {}. O aparelho fica com o programa atual, e com o que chegou do novo. Envie de novo o mesmo ficheiro para continuar.",
    update_stopped: "O envio de {} foi interrompido. O aparelho fica com o programa atual, e com o que chegou do novo. Envie de novo o mesmo ficheiro para continuar.",
    steps: [
        "Largue um ou mais ficheiros na página, ou escolha-os. Um ficheiro é uma radiografia frontal do tórax de uma criança.",
        "Escreva como se chama o exame, para o encontrar depois. Nunca escreva o nome de um doente.",
        "Carregue em Analisar e espere alguns segundos.",
        "Leia o veredicto. Quem decide é um clínico, diga ele o que disser; uma criança que parece doente precisa de um clínico.",
        "Veja o que foi analisado: é a radiografia desta criança, e está todo o tórax dentro da linha azul?",
        "Indique o que diz o clínico e imprima a folha.",
    ],
    meant: [
        "Não se viu nenhum sinal de pneumonia. Algumas pneumonias escapam.",
        "Suspeita-se de pneumonia. Engana-se em algumas radiografias normais.",
        "Não há opinião: um clínico deve decidir.",
    ],
    meant_not_judged: "Não há resultado. O texto diz porquê e o que fazer.",
    code: "Escreva os seis algarismos que o terminal do Pumua mostra",
    wrong_code: "Este não é o código.",
    locked: "Foram escritos códigos errados: espere um minuto ou mais e use o código que o terminal mostrar então.",
    enter: "Continuar",
    foreign: "A sessão terminou, ou o pedido não vem desta página: abra a página de novo.",
    missing: "Essa página não existe.",
    back: "Todas as radiografias",
};
