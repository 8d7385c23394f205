//! `pumua view`: draws what is judged of a file, for anyone who wonders why the answer is what it is.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use base::{
    Shown,
    files::{OutputFile, ReadError, read_radiograph, text_of, write_atomically, write_new},
};
use decode::{Description, DicomDescription, Kind, Radiograph, Shades, describe};
use engine::{
    Model,
    judge::{Judgement, Prepared},
};
use report::{NOT_A_DEVICE, SYNTHETIC_MODEL, view};
use serde_json::{Value, json};
use shared::{
    age::AgeNote,
    appliance::Override,
    preprocess::Window,
    verdict::{Profile, Refusal},
};

use super::{open::open_model, predict::meant, sheet};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Where the picture goes unless somebody names a file.
const PICTURE: &str = "view.png";

/// Options of `pumua view`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Radiograph: a DICOM, JPEG, PNG, TIFF, BMP or WebP file; with `--sheet` also a folder
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// ONNX model made by `pumua train` [default: the one that is built in]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Which of the model's operating points decides, as set on the box: screening, balanced or confirming [default: the
    /// model's own]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Judge a patient who is older or younger than those whom the model is for: age. The answer says so
    #[arg(long = "override", value_name = "REASON")]
    overrides: Vec<Override>,
    /// PNG file to write, also over one that is there [default: view.png, if there is none]
    #[arg(long, value_name = "FILE")]
    out: Option<OutputFile>,
    /// Draw the radiographs of a folder on one PNG file instead, each small, with the part that is judged and the answer;
    /// they show patients
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "json"])]
    sheet: Option<OutputFile>,
    /// At most this many radiographs on the sheet, in the order of their names
    #[arg(long, value_name = "N", default_value_t = 100, requires = "sheet", value_parser = clap::value_parser!(u16).range(1..=500))]
    most: u16,
    /// Print what is known as a JSON object
    #[arg(long)]
    json: bool,
    /// The radiograph is a negative: bones are dark
    #[arg(long)]
    invert: bool,
}

/// What was made of a file that could be decoded.
pub(super) struct Look {
    pub(super) prepared: Prepared<'static>,
    pub(super) judgement: Judgement,
    /// The part that was judged, in pixels of the file; `None` if it is the whole.
    window: Option<Window>,
}

/// Draws what is judged of a file.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { file, model, profile, overrides, out, sheet, most, json, invert } = &options;
    let out = match sheet {
        Some(sheet) => {
            sheet::check(&Vec::from_iter([&**file].into_iter().chain(model.as_deref())), sheet)?;
            sheet.to_path_buf()
        }
        None => place(out.as_deref(), file, model.as_deref())?,
    };
    let mut model = open_model(model.as_deref())?;
    if let Some(profile) = profile {
        model.decide_by(*profile).exit(Exit::Refused)?;
    }
    let any_age = overrides.contains(&Override::Age);
    if sheet.is_some() {
        let most = usize::from(*most);
        return sheet::draw(&model, &sheet::Asked { path: file, out: &out, most, invert: *invert, any_age });
    }
    let bytes = match read_radiograph(file) {
        Ok(bytes) => Ok(bytes),
        Err(ReadError::Refused(refusal)) => Err(refusal),
        Err(ReadError::Io(error)) => {
            let asked = || format!("cannot read {}: name a radiograph file that you may read", Shown(file.display()));
            return Err(error).with_context(asked).map_err(Failure::from);
        }
    };
    let description = bytes.as_deref().ok().map(describe);
    let radiograph = bytes.as_deref().map_err(|&refusal| refusal).and_then(decode::decode);
    let looked = match &radiograph {
        Ok(radiograph) => Ok(look(&model, radiograph, *invert, any_age)?),
        Err(refusal) => Err(*refusal),
    };
    let verdict = looked.as_ref().map_err(|&refusal| refusal).and_then(|look| look.judgement.verdict);
    let words = words(description.as_ref(), &looked, &model, *invert);
    let png = match (&radiograph, &looked) {
        (Ok(radiograph), Ok(look)) => {
            let picture = if *invert { radiograph.picture().inverted() } else { radiograph.picture() };
            let evidence = || look.judgement.evidence(model.card(), [picture.width(), picture.height()]);
            let evidence = if verdict.is_ok() { evidence() } else { None };
            let (judged, square) = (look.prepared.window(), look.prepared.pixels());
            view::png(Some(&view::Panes { picture: &picture, judged, square, evidence }), &words)
        }
        _ => view::png(None, &words),
    }?;
    // Unless it was named, no other one is replaced, though it came meanwhile.
    let write = if options.out.is_some() { write_atomically } else { write_new };
    write(&out, &png).with_context(|| {
        format!("cannot write {}: name a file in a folder that can be written", Shown(out.display()))
    })?;
    let mut stdout = io::stdout().lock();
    if *json {
        let facts = to_json(file, description.as_ref(), &looked, &model, &out);
        writeln!(stdout, "{}", output::json(&facts))?;
    } else {
        for line in &words {
            writeln!(stdout, "{}", Shown(line))?;
        }
        base::say!("the picture is {}", Shown(out.display()));
    }
    Ok(if verdict.is_ok() { Exit::Done } else { Exit::Refused })
}

/// Where the picture goes: never over what is read, and over another file only if that is named.
fn place(out: Option<&Path>, radiograph: &Path, model: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = out.unwrap_or(Path::new(PICTURE));
    if out.is_none() && fs::symlink_metadata(path).is_ok() {
        return Err(anyhow!("{PICTURE} is there already: name the file to write with `--out`")).exit(Exit::Usage);
    }
    super::check_outputs(&Vec::from_iter([radiograph].into_iter().chain(model)), &[path], &[])?;
    Ok(path.to_owned())
}

/// Takes every step of a judgement, whatever is refused on the way.
pub(super) fn look(model: &Model, radiograph: &Radiograph, invert: bool, any_age: bool) -> Result<Look, Failure> {
    let picture = if invert { radiograph.picture().inverted() } else { radiograph.picture() };
    let card = model.card();
    let prepared =
        Prepared::of_any(&picture, &card.behaviour.contract).of_age(radiograph.facts().age).of_any_age(any_age);
    let judgement = model.judge(&prepared.admit_any(card))?;
    let window = prepared.window().map(|window| radiograph.in_file(window));
    Ok(Look { prepared, judgement, window })
}

/// What the sheet says: the answer first, then what it rests on. Not the name of the file, which may be the patient's.
fn words(
    description: Option<&Description>,
    looked: &Result<Look, Refusal>,
    model: &Model,
    invert: bool,
) -> Vec<String> {
    let card = model.card();
    let verdict = looked.as_ref().map_err(|&refusal| refusal).and_then(|look| look.judgement.verdict);
    let mut lines = vec![match verdict {
        Ok(verdict) => format!("verdict: {} ({})", verdict.as_str(), verdict.code()),
        Err(refusal) => format!("refused: {} ({}): {refusal}", refusal.as_str(), refusal.code()),
    }];
    if let (Ok(_), Ok(look)) = (verdict, looked) {
        let (probability, point) = (look.judgement.examination.score.probability, card.behaviour.point);
        let [own, from, to] = point.decimals(probability, 1.0, 3);
        lines.push(format!(
            "probability of pneumonia {probability:.own$}; referred from {:.from$} to below {:.to$}",
            point.refer_from, point.refer_to
        ));
        let age = look.judgement.age;
        if age == AgeNote::Unknown || age.is_overridden() {
            lines.push(format!("{age}: the model is for {}", meant(model)));
        }
    }
    lines.push(description.map_or_else(|| "format: not read".to_owned(), format_of));
    if let Some(dicom) = description.and_then(|description| description.dicom.as_ref()) {
        lines.push(header(dicom));
        lines.push(format!(
            "pixels: {}, {}, {}",
            dicom.photometric.unwrap_or("photometric interpretation not stated"),
            dicom.transfer_syntax.unwrap_or("compression not stated"),
            dicom.shown.map_or_else(|| "no shades".to_owned(), shades),
        ));
    }
    if invert {
        lines.push("inverted, as was asked".to_owned());
    }
    if let Ok(look) = looked {
        let side = card.behaviour.contract.side;
        lines.push(format!("judged: {}, as {side} x {side} pixels", part(look.window)));
    }
    lines.push(format!("model {}. {NOT_A_DEVICE}", Shown(&card.name)));
    if card.provenance.synthetic {
        lines.push(SYNTHETIC_MODEL.to_owned());
    }
    lines
}

fn format_of(description: &Description) -> String {
    let format = match description.kind {
        None => "none that is known".to_owned(),
        Some(kind) if kind.refusal().is_some() => kind.words().to_owned(),
        Some(kind) => kind.as_str().to_uppercase(),
    };
    let size = description.size.map(|[width, height]| format!(", {width} x {height} pixels"));
    let bits = description.bits.map(|bits| format!(", {bits} bits"));
    format!("format: {format}{}{}", size.unwrap_or_default(), bits.unwrap_or_default())
}

fn header(dicom: &DicomDescription) -> String {
    let age = dicom.age.map_or_else(|| AgeNote::Unknown.to_string(), |age| age.to_string());
    let said = |what: &str, value: Option<&str>| format!("{what} {}", value.unwrap_or("not stated"));
    let [modality, part, view] = [("modality", dicom.modality), ("body part", dicom.body_part), ("view", dicom.view)]
        .map(|(what, value)| said(what, value));
    format!("header: {modality}, {part}, {view}, {age}")
}

fn shades(shades: Shades) -> String {
    match shades {
        Shades::Table => "shown by the file's table".to_owned(),
        Shades::Window { centre, width } => format!("shown in the file's window, centre {centre}, width {width}"),
        Shades::Range { least, most } => format!("shown from {least} to {most}: no window that can have been meant"),
        Shades::AsStored => "shown as stored".to_owned(),
    }
}

fn part(window: Option<Window>) -> String {
    match window {
        None => "all of the film".to_owned(),
        Some(Window { left, top, width, height, .. }) => {
            format!("{width} x {height} pixels from column {left}, row {top}; the rest is a frame")
        }
    }
}

fn to_json(
    file: &Path,
    description: Option<&Description>,
    looked: &Result<Look, Refusal>,
    model: &Model,
    out: &Path,
) -> Value {
    let mut facts = json!({
        "path": text_of(file), "picture": text_of(out), "model": model.card().name,
        "synthetic_model": model.card().provenance.synthetic,
    });
    if let Some(description) = description {
        facts["format"] = json!(description.kind.map(Kind::as_str));
        facts["size"] = json!(description.size);
        facts["bits"] = json!(description.bits);
        if let Some(dicom) = &description.dicom {
            facts["dicom"] = json!({
                "modality": dicom.modality, "body_part": dicom.body_part, "view": dicom.view,
                "age_months": output::age_months(dicom.age), "photometric": dicom.photometric,
                "transfer_syntax": dicom.transfer_syntax, "shades": dicom.shown.map(shades_as_json),
            });
        }
    }
    if let Ok(look) = looked {
        let window = look.window.map(|window| [window.left, window.top, window.width, window.height]);
        facts["window"] = json!(window);
    }
    match looked.as_ref().map_err(|&refusal| refusal).and_then(|look| Ok((look, look.judgement.verdict?))) {
        Ok((look, verdict)) => {
            facts["verdict"] = verdict.as_str().into();
            facts["code"] = verdict.code().into();
            facts["age_overridden"] = look.judgement.age.is_overridden().into();
            facts["probability"] = look.judgement.examination.score.probability.into();
        }
        Err(refusal) => {
            facts["verdict"] = "refused".into();
            facts["refusal"] = refusal.as_str().into();
            facts["code"] = refusal.code().into();
            facts["message"] = refusal.to_string().into();
        }
    }
    facts
}

fn shades_as_json(shades: Shades) -> Value {
    match shades {
        Shades::Table => json!({ "by": "table" }),
        Shades::Window { centre, width } => json!({ "by": "window", "centre": centre, "width": width }),
        Shades::Range { least, most } => json!({ "by": "range", "least": least, "most": most }),
        Shades::AsStored => json!({ "by": "as stored" }),
    }
}
