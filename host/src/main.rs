//! The `pumua` program: parse, dispatch, report.

use std::{env, ffi::OsString, io, path::Path, process::ExitCode};

use base::Shown;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};
use host::{
    commands::{
        augment, bundle, evaluate, flash, image, info, key, keys, machines, package, points, predict, quantize,
        results, robustness, screenshot, send, serve, sign, study, synthetic, train, update, verify, view,
    },
    exit::{Exit, Failure},
};

/// Pumua: trains pneumonia screening models and talks to the clinic box. A research aid, not a medical device.
#[derive(Parser)]
#[command(name = "pumua", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done (whatever the verdict)
  1    failed, the message says why
  2    the command line cannot be understood
  3    an image, a model or a bundle was refused
  4    no serial port, or no box answers
  5    protocol mismatch between host and box
  6    the box reports a fault of its own
  7    not confirmed: the box may have judged the image, or installed the model
  130  stopped by Ctrl-C; what was done is kept";

#[derive(Subcommand)]
enum Command {
    /// Train a model, quantize it, evaluate both and write a report
    Train(train::Options),
    /// Run the experiments of the study and its open questions, and report on them
    Study(study::Options),
    /// Draw synthetic radiographs to try things with
    Synthetic(synthetic::Options),
    /// Show what augmentation does to a radiograph
    Augment(augment::Options),
    /// Make an int8 ONNX file from a float one
    Quantize(quantize::Options),
    /// Fit a model's operating points on labelled radiographs, and measure them
    Points(points::Options),
    /// Measure a model on labelled radiographs
    Evaluate(evaluate::Options),
    /// Measure how stable a model's answers are when radiographs are changed
    Robustness(robustness::Options),
    /// Find the X-ray machines behind radiographs, from the pixels alone
    Machines(machines::Options),
    /// Judge radiograph files with the engine of the box
    Predict(predict::Options),
    /// Draw what is judged of a radiograph file, with the reasons
    View(view::Options),
    /// Send radiographs to the box and print its verdicts
    Send(send::Options),
    /// Serve a page on which a clinic drops radiographs and reads the answers
    Serve(serve::Options),
    /// Show the box's version, model and counters
    Info(info::Options),
    /// Read the results that the box has stored
    Results(results::Options),
    /// Fetch the picture on the screen of the box
    Screenshot(screenshot::Options),
    /// Replace the model on the box, its settings, or its whole program
    Update(update::Options),
    /// Make a pair of keys, with which models, bundles, images and settings are signed
    Key(key::Options),
    /// Make the list of the keys that may sign models, bundles, images and settings
    Keys(keys::Options),
    /// Sign a model, a bundle or settings for boxes, or the image of a memory card
    Sign(sign::Options),
    /// Look who has signed a model, bundle, image or settings, and what a box says to it
    Verify(verify::Options),
    /// Make the image of the memory card of a box
    Image(image::Options),
    /// Pack the program of the box, to replace that of boxes that run already
    Bundle(bundle::Options),
    /// Make a Debian package of the box for an existing Raspberry Pi OS, or of this program for a clinic's computer
    Package(package::Options),
    /// Write the image of a box to a memory card and read it back
    Flash(flash::Options),
}

fn main() -> ExitCode {
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    prefer_processor();
    let command = match parse(env::args_os()) {
        Ok(cli) => cli.command,
        Err(error) => return explained(error),
    };
    // What these make is for others, and holds nothing of patients.
    if !matches!(
        command,
        Command::Image(_)
            | Command::Bundle(_)
            | Command::Package(_)
            | Command::Flash(_)
            | Command::Keys(_)
            | Command::Sign(_)
    ) {
        base::keep_private();
    }
    match run(command) {
        Ok(exit) => exit.into(),
        Err(Failure { exit, error }) => {
            base::say!("error: {}", described(&error));
            exit.into()
        }
    }
}

/// What is not asked to be on a graphics processor is on none.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
#[expect(unsafe_code, reason = "nothing else runs yet that could read the environment")]
fn prefer_processor() {
    let (name, value) = learn::device::DEFAULT;
    // Safety: this is the only thread.
    unsafe { env::set_var(name, value) };
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Train(options) => train::run(options),
        Command::Study(options) => study::run(options),
        Command::Synthetic(options) => synthetic::run(options),
        Command::Augment(options) => augment::run(options),
        Command::Quantize(options) => quantize::run(options),
        Command::Points(options) => points::run(options),
        Command::Evaluate(options) => evaluate::run(options),
        Command::Robustness(options) => robustness::run(options),
        Command::Machines(options) => machines::run(options),
        Command::Predict(options) => predict::run(options),
        Command::View(options) => view::run(options),
        Command::Send(options) => send::run(options),
        Command::Serve(options) => serve::run(options),
        Command::Info(options) => info::run(options),
        Command::Results(options) => results::run(options),
        Command::Screenshot(options) => screenshot::run(options),
        Command::Update(options) => update::run(options),
        Command::Key(options) => key::run(options),
        Command::Keys(options) => keys::run(options),
        Command::Sign(options) => sign::run(options),
        Command::Verify(options) => verify::run(options),
        Command::Image(options) => image::run(options),
        Command::Bundle(options) => bundle::run(options),
        Command::Package(options) => package::run(options, Cli::command()),
        Command::Flash(options) => flash::run(options),
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// An environment variable that is set to nothing is as if it were not set, as a script has it that sets it to what another
/// one holds.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let is_empty = argument.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { argument.env(Resettable::Reset) } else { argument }
    });
    command.mut_subcommands(without_empty_variables)
}

/// Help and version, or what is wrong with the command line.
fn explained(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    // The message quotes arguments, which may be names from elsewhere: it is made again of arguments that are only shown.
    let shown = env::args_os().map(|argument| Shown(Path::new(&argument).display()).to_string().into());
    let error = parse(shown).err().unwrap_or(error);
    base::say!("{}", error.render().to_string().trim_end());
    Exit::Usage.into()
}

/// The error with its causes, as far as it does not name them itself.
fn described(error: &anyhow::Error) -> String {
    // Of all errors, only those of writing to stdout come without a context.
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return "the program that reads the output ended before everything was written".to_owned();
    }
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

#[cfg(test)]
mod outputs;
