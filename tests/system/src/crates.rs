//! The crates of this workspace, what each rests on, and a drawing of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A crate of this workspace.
#[derive(Debug)]
pub struct Crate {
    /// `host`, `device`, `shared` or `tests`: the first folder of its path.
    pub side: String,
    /// Crates of this workspace that it is built on, without those that only its tests need.
    pub rests_on: BTreeSet<String>,
    /// Crates from elsewhere, without those that only its tests need.
    pub foreign: BTreeSet<String>,
}

/// The crates by their names, from `cargo metadata`. The one that only evens out features is left out: everything that is
/// compiled rests on it.
pub fn crates() -> Result<BTreeMap<String, Crate>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .output()
        .context("cargo cannot be started")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let root = metadata["workspace_root"].as_str().context("no root")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let named = |value: &Value| value["name"].as_str().map(str::to_owned).filter(|name| name != EVENS_OUT);
    let ours: BTreeSet<String> = packages.iter().filter_map(named).collect();
    let mut found = BTreeMap::new();
    for package in packages {
        let Some(name) = named(package) else { continue };
        let path = package["manifest_path"].as_str().and_then(|path| path.strip_prefix(root)).context("no path")?;
        let side = path.split('/').nth(1).context("no folder")?.to_owned();
        let needs = package["dependencies"].as_array().context("no dependencies")?;
        let (rests_on, foreign) =
            needs.iter().filter(|need| need["kind"].is_null()).filter_map(named).partition(|name| ours.contains(name));
        found.insert(name, Crate { side, rests_on, foreign });
    }
    Ok(found)
}

const EVENS_OUT: &str = "build-features";

/// Width and height of a box, and the space between two, in pixels.
const BOX: [usize; 2] = [104, 34];
const GAP: [usize; 2] = [30, 38];
/// Space around a group of boxes; its name stands in that above.
const MARGIN: usize = 34;

/// Crates of one side in rows, what rests on nothing of that side lowest.
struct Group<'a> {
    side: &'a str,
    rows: Vec<Vec<&'a str>>,
}

impl<'a> Group<'a> {
    fn of(side: &'a str, crates: &'a BTreeMap<String, Crate>) -> Self {
        let mut rows: Vec<Vec<&str>> = Vec::new();
        let inside = || crates.iter().filter(|(_, it)| it.side == side);
        for (name, _) in inside() {
            let height = height(name, side, crates);
            rows.resize_with(rows.len().max(height + 1), Vec::new);
            rows[height].push(name);
        }
        // What most others rest on stands leftmost: it makes a column.
        let carried = |name: &str| inside().filter(|(other, _)| reaches(other, name, crates)).count();
        rows.iter_mut().for_each(|row| row.sort_by_key(|name| (usize::MAX - carried(name), *name)));
        Self { side, rows }
    }

    fn size(&self) -> [usize; 2] {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let of = |n: usize, axis: usize| n * (BOX[axis] + GAP[axis]) - GAP[axis] + 2 * MARGIN;
        [of(columns, 0), of(self.rows.len(), 1)]
    }
}

/// On how many floors of its own side a crate stands.
fn height(name: &str, side: &str, crates: &BTreeMap<String, Crate>) -> usize {
    let below = crates[name].rests_on.iter().filter(|other| crates[*other].side == side);
    below.map(|other| 1 + height(other, side, crates)).max().unwrap_or(0)
}

/// Whether `from` rests on `to`, directly or not.
fn reaches(from: &str, to: &str, crates: &BTreeMap<String, Crate>) -> bool {
    crates[from].rests_on.iter().any(|next| next == to || reaches(next, to, crates))
}

/// The drawing, as SVG: an arrow goes from a crate to each that it rests on, unless another arrow leads there anyway.
pub fn drawing(crates: &BTreeMap<String, Crate>) -> String {
    let [host, device, shared] = ["host", "device", "shared"].map(|side| Group::of(side, crates));
    let ([host_width, host_height], [device_width, device_height]) = (host.size(), device.size());
    let [shared_width, shared_height] = shared.size();
    let width = (host_width + GAP[0] + device_width).max(shared_width) + 2 * GAP[0];
    let floor = host_height + 2 * GAP[1];
    let height = floor + shared_height + GAP[1];
    let mut boxes = BTreeMap::new();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"15\">\n\
         <title>The crates of Pumua and what each rests on</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#5a6872\"/></marker></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let places = [
        (&host, [GAP[0], GAP[1]], "#e3f0f8"),
        (&device, [width - GAP[0] - device_width, GAP[1] + host_height - device_height], "#fbe9de"),
        (&shared, [(width - shared_width) / 2, floor], "#e8f3e6"),
    ];
    for (group, [left, top], colour) in places {
        let [wide, high] = group.size();
        // Writing into a `String` cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" rx=\"10\" fill=\"{colour}\"/>\n\
             <text x=\"{}\" y=\"{}\" fill=\"#5a6872\">{}/</text>",
            left + 12,
            top + 22,
            group.side
        );
        for (row, names) in group.rows.iter().enumerate() {
            for (column, name) in names.iter().enumerate() {
                let x = left + MARGIN + column * (BOX[0] + GAP[0]);
                let y = top + high - MARGIN - BOX[1] - row * (BOX[1] + GAP[1]);
                boxes.insert(*name, [x, y]);
            }
        }
    }
    for (name, [x, y]) in &boxes {
        let direct = &crates[*name].rests_on;
        for other in direct.iter().filter(|other| !direct.iter().any(|between| reaches(between, other, crates))) {
            let [to_x, to_y] = boxes[other.as_str()];
            let _ = writeln!(
                svg,
                "<path d=\"M{} {}L{} {to_y}\" stroke=\"#5a6872\" fill=\"none\" marker-end=\"url(#tip)\"/>",
                x + BOX[0] / 2,
                y + BOX[1],
                to_x + BOX[0] / 2
            );
        }
    }
    for (name, [x, y]) in &boxes {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"5\" fill=\"#fff\" stroke=\"#222b33\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#222b33\">{name}</text>",
            BOX[0],
            BOX[1],
            x + BOX[0] / 2,
            y + 22
        );
    }
    svg + "</svg>\n"
}
