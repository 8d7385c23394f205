//! The program of the clinic box.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
};

use ::node::Open;
use anyhow::{Context, anyhow};
use clap::Parser;
use device::{
    analysis::{Classifier, Install, NoModel},
    config::{Flags, LineSettings, NodeSettings, Settings, Sources},
    decoder::{self, Decoder, child},
    disk::Card,
    init, inner,
    journal::{Journal, Limits, Repair},
    keys,
    models::{Configured, Models, Permit},
    node,
    runtime::Runtime,
    screen::{Display, Identity, Scene, Step, Trouble, View, display::Sinks},
    site::{self, Site},
    software::Software,
    stick::{self, reader, writer},
};
use shared::{
    appliance::{Language, SiteSettings, slots::Started},
    shown::{Shown, ShownLines},
    verdict::ModelRefusal,
};
use trust::Gate;
use wire::ModelFile;

const FAILED: u8 = 1;
const USAGE: u8 = init::supervisor::WRONG_SETTINGS;
const MODEL: u8 = 3;
const PORT: u8 = 4;

fn main() -> ExitCode {
    if child::is_wanted() {
        return child::serve(decoder::Limits::BOX, decoder::prepare);
    }
    if let Some(place) = reader::Place::wanted() {
        return reader::run(&place);
    }
    if let Some(place) = writer::Place::wanted() {
        return writer::run(&place);
    }
    device::keep_private();
    if init::is_first_process() {
        init::run();
    }
    if init::is_supervised() {
        init::restrict();
    }
    // A setting that cannot be read must not give way to a default: the box would judge with another model.
    let unreadable =
        |name: &OsString, value: &OsString| name.to_string_lossy().starts_with("PUMUA_") && value.to_str().is_none();
    if let Some((name, _)) = std::env::vars_os().find(|(name, value)| unreadable(name, value)) {
        return fail(USAGE, &anyhow!("the environment variable {} is not UTF-8: set it again", Shown(name.display())));
    }
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => return explained(&error),
    };
    let sources = flags.sources(|name| std::env::var(name).ok());
    let (settings, sources) = match sources.and_then(|sources| Ok((sources.settings()?, sources))) {
        Ok(found) => found,
        Err(error) => {
            if init::is_supervised() {
                init::show_failure(&error.to_string());
            }
            return fail(USAGE, &error.into());
        }
    };
    match start(settings, sources) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => fail(code, &error),
    }
}

/// Help and version, or what is wrong with the command line.
fn explained(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    // The message quotes arguments, which may be names from elsewhere: it is made again of arguments that are only shown.
    let shown = std::env::args_os().map(|argument| Shown(Path::new(&argument).display()).to_string());
    let again = Flags::try_parse_from(shown).err();
    let words = again.as_ref().unwrap_or(error).render().to_string();
    // Unlike `eprint!` it does not panic when nobody reads there.
    let _ = writeln!(io::stderr(), "{}", ShownLines(words.trim_end()));
    ExitCode::from(USAGE)
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    device::say(format_args!("{}", described(error)));
    ExitCode::from(code)
}

/// The error with its causes, as far as it does not name them itself.
fn described(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// An exit code and the error that it stands for.
type Failure = (u8, anyhow::Error);

fn start(of_card: Settings, sources: Sources) -> Result<(), Failure> {
    let mut site = site(&of_card, sources).map_err(with(FAILED))?;
    // What somebody has sent may be what the box has failed over.
    let mut settings = if of_card.safe {
        site.set_aside();
        of_card
    } else {
        site.load().unwrap_or(of_card)
    };
    let sinks = match Sinks::open(&settings) {
        // A box without a screen still answers its host.
        Err(error) if settings.framebuffer.is_some() && settings.framebuffer_optional => {
            device::say(format_args!("{error}; the box continues without a screen"));
            settings.framebuffer = None;
            Sinks::open(&settings)
        }
        opened => opened,
    };
    let sinks = sinks.map_err(with(FAILED))?;
    if let Some(folder) = sinks.folder() {
        device::say(format_args!("the screen is kept in {}", Shown(folder.file().display())));
    }
    let display = Display::start(sinks);
    let served = serve(settings, site, &display);
    let view = match &served {
        Ok(()) => View::Stopped,
        Err((_, error)) => View::error(Trouble::Failed(described(error))),
    };
    display.show(Scene { identity: Identity::default(), view });
    served
}

fn serve(settings: Settings, site: Site, display: &Display) -> Result<(), Failure> {
    let starting = |step| display.show(Scene { identity: Identity::default(), view: View::Starting { step } });
    starting(Step::Model);
    let Judges { model, install, fell_back, permit } =
        if settings.safe { without_model() } else { with_model(&settings).map_err(with(MODEL))? };
    let (name, synthetic) = (model.card().name.clone(), model.card().provenance.synthetic);
    starting(Step::Storage);
    let mut alive = init::sign_of_life();
    let opened = Journal::open_on(Arc::new(Card), &settings.journal, Limits::default(), &mut alive);
    let (journal, repairs) = opened.map_err(with(FAILED))?;
    repairs.iter().for_each(tell);
    let can_store = !journal.standing().read_only;
    if !can_store {
        device::say(format_args!("no image is judged, because no result can be stored; results can be read"));
    }
    let software = bundles(&settings).map_err(with(FAILED))?;
    let mut decoder = Decoder::new(decoder_command, decoder::Limits::BOX);
    starting(Step::Lines);
    let simulated = matches!(settings.line, LineSettings::Simulated { .. });
    let decode = Box::new(move |file: &[u8], contract: &_| decoder.decode(file, contract));
    let mut runtime = Runtime::open(model, install, decode, journal, display, settings.line).map_err(with(PORT))?;
    if fell_back {
        runtime.say_that_another_model_was_meant();
    }
    if settings.unsigned && !simulated {
        device::say(format_args!("models are taken that nobody has signed: this box is for development"));
        runtime.say_that_unsigned_models_are_taken();
    }
    if settings.safe {
        runtime.enter_safe_mode();
    }
    runtime.take_bundles(software);
    runtime.take_site(site);
    let mut takes_films = false;
    // A film may be what the box has failed over.
    if settings.stick && !settings.safe {
        match look_at_sticks(&mut runtime, settings.stick_dir, settings.language) {
            Ok(looks) => takes_films = looks,
            Err(error) => device::say(format_args!("no memory stick is looked at: {}", described(&error))),
        }
    }
    runtime.set_privacy(settings.share, settings.blank_after);
    runtime.allow(&settings.overrides);
    let stopper = runtime.stopper();
    init::on_end(move || stopper.stop()).context("cannot listen to signals").map_err(with(FAILED))?;
    if settings.keys {
        // What is asked once more must be seen.
        if settings.framebuffer.is_some() || settings.screen_dir.is_some() {
            runtime.offer_ways_back(permit);
        }
        keys::watch(keys::FOLDER.as_ref(), runtime.keys());
    }
    // Safe mode leaves out what can fail.
    let consoles = settings.node.filter(|_| !settings.safe);
    let is_wired = matches!(consoles, Some(NodeSettings::Wired(_)));
    let serving = match consoles.map_or(Ok(None), |consoles| serve_consoles(consoles, &mut runtime)) {
        // Films come another way meanwhile.
        Err(error) if is_wired => {
            device::say(format_args!("the Ethernet port stays off: {}", described(&error)));
            None
        }
        served => served.map_err(with(PORT))?,
    };
    if let Some(device) = runtime.simulated_device() {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{}", device.display()).and_then(|()| out.flush());
        written.context("cannot print the simulated port").map_err(with(FAILED))?;
    }
    let warning =
        if synthetic { " (trained on synthetic radiographs: its answers mean nothing medically)" } else { "" };
    let state = match (settings.safe, runtime.is_reachable()) {
        (true, _) => "in safe mode",
        (_, true) => "READY",
        _ => "waiting for a line,",
    };
    device::say(format_args!("{state} with the model {name}{warning}; a research aid, not a medical device"));
    // A program on trial stays only if somebody can have a film judged by it, and the result is kept.
    if can_store && (runtime.is_reachable() || takes_films || serving.is_some()) {
        init::say_ready();
    }
    runtime.run(alive).map_err(with(FAILED))
}

/// Has films of memory sticks judged, or of a folder that is played as one, and results written onto them in a language. Elsewhere than
/// in the first process's care nobody plugs any in: false.
fn look_at_sticks(runtime: &mut Runtime<'_>, played: Option<PathBuf>, language: Language) -> anyhow::Result<bool> {
    let end = match played {
        Some(folder) => Some(stick::play(folder)?),
        None => stick::inherited()?,
    };
    let Some(end) = end else { return Ok(false) };
    let (sender, line) = inner::line()?;
    runtime.add_line(line)?;
    runtime.set_films(stick::start(end, sender, language, runtime.sticks())?);
    Ok(true)
}

/// Lets X-ray machines send. A box whose card turns its Ethernet port on works without it, too, where there is no such port.
fn serve_consoles(settings: NodeSettings, runtime: &mut Runtime<'_>) -> anyhow::Result<Option<node::Serving>> {
    let (open, times) = match settings {
        NodeSettings::Simulated(simulated) => {
            let listen = simulated.listen;
            let failed =
                || format!("X-ray machines cannot send to {listen}: choose another address or port with --node");
            (Open::new(simulated, node::LIMITS).with_context(failed)?, node::Times::SIMULATED)
        }
        NodeSettings::Wired(wired) => match init::listener().context("the Ethernet port cannot be used")? {
            Some(listener) => {
                let open = Open::on(listener, wired.node(), node::LIMITS);
                (open.context("the socket of the Ethernet port cannot be used")?, node::Times::BOX)
            }
            None => {
                device::say(format_args!(
                    "the Ethernet port stays off: only a box that has started from its own card sets it up (`ethernet`); on a \
                     computer use `pumua serve --node`"
                ));
                return Ok(None);
            }
        },
    };
    let (sender, end) = inner::line().context("the line within the box cannot be made")?;
    runtime.add_line(end)?;
    device::say(format_args!("X-ray machines send to {} and call it {}", open.address(), open.title()));
    Ok(Some(node::start(open, sender, times, runtime.consoles()).context("X-ray machines cannot be served")?))
}

/// This program as a decoder, whatever has become of its file.
fn decoder_command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(decoder::WORD);
    command
}

/// The model that judges, and what installs another one.
struct Judges {
    model: Arc<dyn Classifier>,
    install: Install,
    /// Whether another model was meant to judge.
    fell_back: bool,
    /// What lets an older model in.
    permit: Permit,
}

fn with_model(settings: &Settings) -> anyhow::Result<Judges> {
    let version = env!("CARGO_PKG_VERSION").parse().context("the version of the program")?;
    let gate = Gate::new(settings.roots.clone(), settings.unsigned, version);
    let mut models = Models::new(settings.models.clone(), settings.profile, gate);
    let Configured { model, fell_back } = match models.load() {
        Some(model) => Configured { model, fell_back: models.fell_back() },
        None => configured(&mut models, settings.model.as_deref())?,
    };
    let milliseconds = model.load_time().as_secs_f64() * 1e3;
    device::say(format_args!("the model is {}", model.trust.as_str()));
    device::say(format_args!("the model runs as {}; loaded in {milliseconds:.1} ms", model.execution()));
    let permit = models.permit();
    let install = Box::new(move |file: &ModelFile| {
        models.install(file).map(|model| Arc::new(model) as Arc<dyn Classifier>).map_err(|error| {
            device::say(format_args!("an update is refused: {error}"));
            error.refusal()
        })
    });
    Ok(Judges { model: Arc::new(model), install, fell_back, permit })
}

/// What takes bundles of the whole program, also in safe mode: another program may be what helps.
fn bundles(settings: &Settings) -> anyhow::Result<Software> {
    let version = env!("CARGO_PKG_VERSION").parse().context("the version of the program")?;
    let gate = Gate::for_software(settings.roots.clone(), settings.unsigned, version);
    // Where nobody has started a slot, there is no such word.
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let software = Software::new(Arc::new(Card), settings.software.clone(), gate, Started::of_command_line(&line));
    let is_simulated = matches!(settings.line, LineSettings::Simulated { .. });
    Ok(if is_simulated { software.played() } else { software })
}

/// What takes the clinic's own settings, to go before those of the card.
fn site(of_card: &Settings, sources: Sources) -> anyhow::Result<Site> {
    let version = env!("CARGO_PKG_VERSION").parse().context("the version of the program")?;
    let gate = Gate::for_site(of_card.roots.clone(), version);
    let folder = of_card.models.with_file_name(site::SITE);
    let with = Box::new(move |site: &SiteSettings| sources.with_site(site));
    Ok(Site::new(Arc::new(Card), folder, gate, with))
}

/// For safe mode: a model may be what the box has failed over.
fn without_model() -> Judges {
    let install = Box::new(|_: &ModelFile| Err(ModelRefusal::NotStored));
    Judges { model: Arc::new(NoModel::default()), install, fell_back: false, permit: Permit::default() }
}

/// The model of the settings: the one that they name, or else the one that is built in. An installed one that was set aside
/// was meant instead.
fn configured(models: &mut Models, path: Option<&Path>) -> anyhow::Result<Configured> {
    let configured = models.configured(path);
    let Configured { model, fell_back } = match path {
        Some(path) => configured.with_context(|| format!("the model {} cannot be used", Shown(path.display())))?,
        None => configured?,
    };
    Ok(Configured { model, fell_back: fell_back || models.fell_back() })
}

fn tell(repair: &Repair) {
    match repair {
        Repair::Truncated { bytes } => {
            device::say(format_args!(
                "{bytes} bytes of a result that was never finished were removed from the journal"
            ));
        }
        Repair::KeptAside { damaged, results } => device::say(format_args!(
            "a file of the journal was damaged; it is kept as {}, and its first {results} results remain readable; \
             check the storage",
            Shown(damaged.display())
        )),
    }
}

fn with<E: Into<anyhow::Error>>(code: u8) -> impl Fn(E) -> Failure {
    move |error| (code, error.into())
}
