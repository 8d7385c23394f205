//! `pumua info`: says what the box is.

use std::io::{self, Write};

use base::Shown;
use link::{Connection, PortOptions};
use serde_json::json;
use shared::verdict::{Digest, Trust};
use wire::{Info, OutcomeOnLine, SiteOnLine, SiteStage, SiteState, SoftwareStage, SoftwareState};

use crate::{
    exit::{Exit, Failure},
    output,
};

/// Options of `pumua info`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    port: PortOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Says what the box is.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { port, json } = options;
    let mut connection = Connection::open(&port).map_err(Failure::of_link)?;
    let info = connection.info().map_err(Failure::of_link)?;
    // About no bundle in particular.
    let software = connection.software(Digest::default(), 0).map_err(Failure::of_link)?;
    let site = connection.site().map_err(Failure::of_link)?;
    let text = if json { to_json(&info, &software, &site) } else { to_text(&info, &software, &site) };
    writeln!(io::stdout(), "{text}")?;
    Ok(Exit::Done)
}

fn to_text(info: &Info, software: &SoftwareState, site: &SiteState) -> String {
    let Info { contract, point, .. } = info;
    let training =
        if info.synthetic { "synthetic radiographs: its answers mean nothing medically" } else { "radiographs" };
    [
        format!("software      {}", Shown(&info.software)),
        format!("slot          {}", slot(software).unwrap_or("none: the card has room for one program")),
        format!("last bundle   {}", software.outcome.as_ref().map_or_else(|| "none".to_owned(), bundle)),
        format!("settings      {}", settings(site)),
        format!("model         {} ({})", Shown(&info.model), if info.int8 { "int8" } else { "float" }),
        format!("model digest  {}", info.model_digest),
        format!("signed        {}", signed(info)),
        format!("computed as   {}", Shown(&info.execution)),
        format!("trained on    {training}"),
        format!("made for      {}", info.ages.map_or_else(|| "unknown ages".to_owned(), |ages| ages.to_string())),
        format!("override      {}", if info.any_age { "a host may override the age" } else { "nothing" }),
        format!("input         {0} x {0} pixels, {1:?}", contract.side, contract.fit).to_lowercase(),
        format!("threshold     {:.3}, refer from {:.3} to {:.3}", point.threshold, point.refer_from, point.refer_to),
        format!("starts        {}", info.boot),
        format!("results       {}", info.records),
        format!("journal       {}", journal(info)),
        "A research aid, not a medical device.".to_owned(),
    ]
    .join("\n")
}

/// The slot that the box was started from.
fn slot(software: &SoftwareState) -> Option<&'static str> {
    Some(match software.slot? {
        0 => "a",
        1 => "b",
        _ => "unknown",
    })
}

/// What became of a bundle.
fn bundle(outcome: &OutcomeOnLine) -> String {
    let OutcomeOnLine { bundle, name, counter, trust, stage, .. } = outcome;
    let name = if name.is_empty() { format!("{bundle:.12}") } else { Shown(name).to_string() };
    let counter = counter.map(|counter| format!(", counter {counter}")).unwrap_or_default();
    let stage = match stage {
        SoftwareStage::Staged => "on the card, tried at the next start: switch the box off and on".to_owned(),
        SoftwareStage::Refused(refusal) => format!("refused: {refusal} (code {})", refusal.code()),
        SoftwareStage::Confirmed => "it runs, and stays".to_owned(),
        SoftwareStage::WentBack => "it did not start; the program before it runs: send another one".to_owned(),
    };
    format!("{name}{counter} ({}); {stage}", trust.as_str())
}

/// Which settings are in force, and which keys of the clinic may sign others.
fn settings(site: &SiteState) -> String {
    let SiteState { stage, file, keys } = site;
    let file = file.as_ref().map(|SiteOnLine { name, counter, key, trust, own_key, .. }| {
        let whose = if *own_key { "a key of the clinic" } else { "a key of the list" };
        format!("{}, counter {counter}, {} by {}, {whose}; ", Shown(name), trust.as_str(), Shown(key))
    });
    let stage = match (stage, &file) {
        (SiteStage::Card, _) => "those of the card",
        (SiteStage::InForce, _) => "in force, before those of the card",
        (SiteStage::NextStart, Some(_)) => "in force from the next start on: switch the box off and on",
        (SiteStage::NextStart, None) => "those of the card from the next start on: switch the box off and on",
        (SiteStage::NotUsed, _) => {
            "those that were sent cannot be used, and those of the card are in force: send others"
        }
    };
    let keys: Vec<String> = keys.iter().map(|key| Shown(key).to_string()).collect();
    let keys = if keys.is_empty() { String::new() } else { format!("; keys of the clinic: {}", keys.join(", ")) };
    format!("{}{stage}{keys}", file.unwrap_or_default())
}

/// Who says that the model is good, and whether anybody has to.
fn signed(info: &Info) -> String {
    let trust = match info.trust {
        None => "nothing judges",
        Some(Trust::Signed) => "yes",
        Some(Trust::BuiltIn) => "no, it is part of the program",
        Some(Trust::TestKey) => "by the TEST KEY, with which anybody can sign",
        Some(Trust::Unsigned) => "no",
    };
    let more = if info.takes_unsigned { "; for development: the box takes models that nobody has signed" } else { "" };
    format!("{trust}{more}")
}

/// The last entry, as `pumua results --head` takes it, and what is wrong.
fn journal(info: &Info) -> String {
    let head = if info.head == Digest::default() {
        "no entry has a link".to_owned()
    } else {
        format!("{}:{}", info.entries, info.head)
    };
    let broken = info.broken.map(|at| format!("; changed or lost before entry {at}"));
    let read_only = info.read_only.then_some("; cannot be written: the box judges nothing, check its memory card");
    head + broken.as_deref().unwrap_or_default() + read_only.unwrap_or_default()
}

fn to_json(info: &Info, software: &SoftwareState, site: &SiteState) -> String {
    let bundle = software.outcome.as_ref().map(|outcome| {
        let code = match outcome.stage {
            SoftwareStage::Refused(refusal) => Some(refusal.code()),
            _ => None,
        };
        json!({
            "bundle": outcome.bundle.to_string(), "file": outcome.file.to_string(), "name": outcome.name.as_str(),
            "counter": outcome.counter, "key": outcome.key.as_deref(), "trust": outcome.trust.as_str(),
            "stage": outcome.stage.as_str(), "code": code,
        })
    });
    let file = site.file.as_ref().map(|file| {
        json!({
            "site": file.digest.to_string(), "name": file.name.as_str(), "counter": file.counter, "key": file.key.as_str(),
            "trust": file.trust.as_str(), "own_key": file.own_key,
        })
    });
    let keys: Vec<&str> = site.keys.iter().map(|key| key.as_str()).collect();
    output::json(&json!({
        "software": info.software.as_str(), "slot": slot(software), "last_bundle": bundle,
        "settings": { "stage": site.stage.as_str(), "file": file, "keys": keys }, "model": info.model.as_str(),
        "model_digest": info.model_digest.to_string(), "synthetic": info.synthetic, "int8": info.int8,
        "trust": info.trust.map(Trust::as_str), "takes_unsigned": info.takes_unsigned, "execution": info.execution.as_str(),
        "contract": info.contract, "operating_point": info.point, "boot": info.boot, "records": info.records,
        "entries": info.entries, "head": info.head.to_string(), "broken": info.broken, "read_only": info.read_only,
        "ages": info.ages, "override": if info.any_age { &["age"][..] } else { &[] },
    }))
}

#[cfg(test)]
mod tests {
    use shared::{
        age::Ages,
        contract::{Fit, InputContract},
        verdict::{OperatingPoint, SoftwareRefusal},
    };

    use super::*;

    /// A box that has no settings but those of its card.
    fn card() -> SiteState {
        SiteState { stage: SiteStage::Card, file: None, keys: Default::default() }
    }

    #[test]
    fn synthetic_model_is_said_to_be_one() {
        let info = Info {
            software: "0.1.0".try_into().unwrap(),
            model: "a-model".try_into().unwrap(),
            model_digest: Digest::of(b"m"),
            synthetic: true,
            int8: true,
            execution: "fused int8, neon kernels".try_into().unwrap(),
            contract: InputContract { side: 64, fit: Fit::Letterbox, scale: 1.0, zero_point: 0 },
            point: OperatingPoint::HALF,
            boot: 3,
            records: 4,
            entries: 9,
            head: Digest::of(b"head"),
            broken: None,
            read_only: false,
            ages: Some(Ages { from: 1, to: 5 }),
            any_age: false,
            trust: Some(Trust::Signed),
            takes_unsigned: false,
        };
        let software = SoftwareState { next: 0, running: info.software.clone(), slot: None, outcome: None };
        let text = to_text(&info, &software, &card());
        assert!(
            text.contains("synthetic")
                && text.contains("a-model (int8)")
                && text.contains("64 x 64 pixels, letterbox")
                && text.contains("fused int8, neon")
        );
        assert!(text.contains(&format!("journal       9:{}\n", Digest::of(b"head"))), "{text}");
        assert!(text.contains("made for      children of 1 to 5 years\noverride      nothing\n"), "{text}");
        let allowing = to_text(&Info { ages: None, any_age: true, ..info.clone() }, &software, &card());
        assert!(
            allowing.contains("made for      unknown ages\noverride      a host may override the age\n"),
            "{allowing}"
        );
        let wrong = to_text(&Info { broken: Some(7), read_only: true, ..info.clone() }, &software, &card());
        assert!(wrong.contains("before entry 7; cannot be written"), "{wrong}");
        let evil = Info {
            software: "1\u{1b}[2J".try_into().unwrap(),
            model: "x\nthreshold     0.999".try_into().unwrap(),
            execution: "\u{202e}=1+1\r".try_into().unwrap(),
            ..info.clone()
        };
        let shown = to_text(&evil, &software, &card());
        assert_eq!(shown.lines().count(), text.lines().count(), "{shown}");
        assert!(!shown.replace('\n', "").contains(base::shown::is_hidden), "{shown}");
        assert!(!to_json(&evil, &software, &card()).contains(base::shown::is_hidden));
        let value: serde_json::Value = serde_json::from_str(&to_json(&info, &software, &card())).unwrap();
        assert_eq!((&value["synthetic"], &value["contract"]["fit"]), (&json!(true), &json!("letterbox")));
    }

    #[test]
    fn settings_that_were_sent_are_said_with_who_has_signed_them() {
        let file = SiteOnLine {
            digest: Digest::of(b"site"),
            name: "ward\u{202e}-3".try_into().unwrap(),
            counter: 7,
            key: "0123456789ABCDEF".try_into().unwrap(),
            trust: Trust::Signed,
            own_key: true,
        };
        let of = |stage, file: Option<&SiteOnLine>| settings(&SiteState { stage, file: file.cloned(), ..card() });
        assert_eq!(settings(&card()), "those of the card");
        for (stage, words) in [
            (SiteStage::InForce, "in force, before"),
            (SiteStage::NextStart, "in force from the next start on"),
            (SiteStage::NotUsed, "cannot be used"),
        ] {
            let text = of(stage, Some(&file));
            assert!(text.contains(words) && text.contains("counter 7, signed by 0123456789ABCDEF, a key of"), "{text}");
            assert!(!text.contains(base::shown::is_hidden), "{text}");
        }
        assert!(of(SiteStage::NextStart, None).starts_with("those of the card from the next start on"));
        let mut with_key = card();
        with_key.keys.push(file.key.clone()).unwrap();
        assert!(settings(&with_key).ends_with("; keys of the clinic: 0123456789ABCDEF"));
    }

    #[test]
    fn what_became_of_the_last_bundle_is_said() {
        let outcome = |stage| OutcomeOnLine {
            bundle: Digest::of(b"payload"),
            file: Digest::of(b"file"),
            name: "pumua\u{202e}-9".try_into().unwrap(),
            counter: Some(9),
            key: None,
            trust: Trust::Signed,
            stage,
        };
        for (stage, words) in [
            (SoftwareStage::Staged, "switch the box off and on"),
            (SoftwareStage::Refused(SoftwareRefusal::Older), "(code 429)"),
            (SoftwareStage::Confirmed, "stays"),
            (SoftwareStage::WentBack, "did not start"),
        ] {
            let text = bundle(&outcome(stage));
            assert!(text.contains(words) && text.contains(", counter 9 (signed); "), "{text}");
            assert!(!text.contains(base::shown::is_hidden), "{text}");
        }
        let state = |slot| SoftwareState { next: 0, running: "0.1.0".try_into().unwrap(), slot, outcome: None };
        assert_eq!([None, Some(0), Some(1)].map(|number| slot(&state(number))), [None, Some("a"), Some("b")]);
    }
}
