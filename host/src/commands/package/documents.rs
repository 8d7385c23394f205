//! Manual pages and completions, made of the command line itself: they say what `--help` says.

use std::io::{self, Write};

use clap::Command;
use clap_complete::aot::{Shell, generate};
use clap_mangen::Man;
use setup::package::Documents;

/// Those of a program.
///
/// # Errors
/// None that is known: they are written to memory.
pub(super) fn documents(whole: Command) -> io::Result<Documents> {
    let mut whole = whole.disable_help_subcommand(true);
    whole.build();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    let manuals = std::iter::once(&whole).chain(commands).map(|command| manual(command, &whole));
    let manuals = manuals.collect::<io::Result<Vec<_>>>()?;
    let name = whole.get_name().to_owned();
    let mut completions = |shell: Shell| {
        let mut script = Vec::new();
        generate(shell, &mut whole, &name, &mut script);
        script
    };
    let [bash, zsh, fish] = [Shell::Bash, Shell::Zsh, Shell::Fish].map(&mut completions);
    Ok(Documents { manuals, bash, zsh, fish })
}

/// The page of one command, and its name.
fn manual(command: &Command, whole: &Command) -> io::Result<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let version = whole.get_version().unwrap_or_default();
    let notes = command.get_after_help().map(ToString::to_string);
    // As running text its lines would run into each other.
    let page = Man::new(command.clone().after_help(None::<&'static str>));
    let page = page.source(format!("{} {version}", whole.get_name())).manual("Pumua");
    let mut text = Vec::new();
    page.render(&mut text)?;
    if let Some(notes) = notes {
        writeln!(text, ".SH NOTES\n.nf")?;
        for line in notes.lines() {
            writeln!(text, "{}", literal(line))?;
        }
        writeln!(text, ".fi")?;
    }
    if command.get_name() != whole.get_name() {
        writeln!(text, ".SH \"SEE ALSO\"\n\\fB{}\\fR(1)", whole.get_name())?;
    }
    Ok((format!("{name}.1"), text))
}

/// A line of a manual page in which nothing is an instruction.
fn literal(line: &str) -> String {
    format!("\\&{}", line.replace('\\', "\\e").replace('-', "\\-"))
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn whole() -> Command {
        let serve = Command::new("serve")
            .about("Serves")
            .after_help(".not an instruction\nnor \\this")
            .arg(Arg::new("store").long("store").value_name("DIR").help("Folder").required(true).env("STORE_OF_TEST"));
        Command::new("pumua").version("1.2.3").about("Whole").subcommand_required(true).subcommand(serve)
    }

    #[test]
    fn every_command_has_a_page_and_every_shell_its_completions() {
        let made = documents(whole()).unwrap();
        assert_eq!(made, documents(whole()).unwrap());
        let names: Vec<_> = made.manuals.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["pumua.1", "pumua-serve.1"]);
        let page = String::from_utf8(made.manuals[1].1.clone()).unwrap();
        for words in ["pumua 1.2.3", "STORE_OF_TEST", "\n\\&.not an instruction\n\\&nor \\ethis\n", ".SH \"SEE ALSO\""]
        {
            assert!(page.contains(words), "{page}");
        }
        for script in [&made.bash, &made.zsh, &made.fish] {
            let script = String::from_utf8_lossy(script);
            assert!(script.contains("pumua") && script.contains("serve") && script.contains("store"), "{script}");
        }
    }
}
