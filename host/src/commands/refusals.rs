//! `pumua evaluate --refusals`: what a model refuses and what it lets through.

use std::io::{self, Write};

use data::{Catalogue, Inputs};
use engine::Model;
use measure::guard::{RefusalRow, measure};
use report::{SYNTHETIC, SYNTHETIC_MODEL};
use serde_json::json;

use crate::{
    exit::{Exit, Failure},
    output,
};

/// Measures and prints. `part` says in words which radiographs these are.
pub(super) fn report(
    model: &Model,
    catalogue: &Catalogue,
    inputs: &Inputs,
    indices: &[usize],
    part: &str,
    json: bool,
) -> Result<Exit, Failure> {
    let card = model.card();
    let rows = measure(model, catalogue, inputs, indices)?;
    let guard = card.behaviour.guard.as_ref();
    let features = guard.is_some_and(|guard| guard.features.is_some());
    let fitted = guard.map(|guard| guard.images);
    let styles = guard.is_some_and(|guard| guard.style.is_some());
    let mut out = io::stdout().lock();
    let Some((radiographs, kinds)) = rows.split_first() else { return Ok(Exit::Done) };
    if json {
        let value = json!({
            "model": card.name, "model_digest": model.digest().to_string(), "synthetic_model": card.provenance.synthetic,
            "synthetic_data": catalogue.synthetic, "data_digest": catalogue.digest().to_string(), "part": part,
            "guard_images": fitted, "guard_features": features, "guard_styles": styles, "radiographs": radiographs, "kinds": kinds,
        });
        writeln!(out, "{}", output::json(&value))?;
        return Ok(Exit::Done);
    }
    writeln!(out, "model        {}", card.name)?;
    let seen = match (features, styles) {
        (true, true) => "views, features and styles",
        (true, false) => "views and features",
        (false, true) => "views and styles",
        (false, false) => "views",
    };
    match fitted {
        Some(images) => writeln!(out, "guard        {seen} of {images} training images")?,
        None => writeln!(out, "guard        none: only what needs no model is checked")?,
    }
    writeln!(out, "radiographs  {part}")?;
    writeln!(out, "\n{:32}  images  refused", "should be judged")?;
    writeln!(out, "{}", line(radiographs))?;
    for (drawn, heading) in [(false, "should be refused: made of them"), (true, "should be refused: drawn")] {
        let rows: Vec<&RefusalRow> = kinds.iter().filter(|row| row.drawn == drawn).collect();
        if !rows.is_empty() {
            writeln!(out, "\n{heading:32}  images  let through")?;
        }
        for row in rows {
            writeln!(out, "{}", line(row))?;
        }
    }
    if card.provenance.synthetic {
        writeln!(out, "{SYNTHETIC_MODEL}")?;
    }
    if catalogue.synthetic {
        writeln!(out, "{SYNTHETIC}")?;
    }
    Ok(Exit::Done)
}

/// Name, number, share with its interval, reasons with their numbers.
fn line(row: &RefusalRow) -> String {
    let share = match row.wrong {
        Some(p) => format!("{:.4}  (95 % interval {:.4} to {:.4})", p.value, p.low, p.high),
        None => "none of these images".to_owned(),
    };
    let reasons: Vec<String> = row.refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    format!("{:32}  {:6}  {share}  {}", row.name, row.images, reasons.join(", ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use measure::statistics::Proportion;

    use super::*;

    #[test]
    fn a_line_tells_share_interval_and_reasons() {
        let row = RefusalRow {
            name: "upside down",
            drawn: false,
            images: 100,
            refused: [("not-a-chest", 2), ("upside-down", 97)].into(),
            wrong: Proportion::of(1, 100),
        };
        assert_eq!(
            line(&row),
            "upside down                          100  0.0100  (95 % interval 0.0018 to 0.0545)  not-a-chest 2, upside-down 97"
        );
        let none = RefusalRow { images: 0, refused: [].into(), wrong: None, ..row };
        assert_eq!(line(&none), "upside down                            0  none of these images");
    }
}
