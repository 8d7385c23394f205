//! The card: what a model file says of itself, stored as JSON in the ONNX metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{
    age::Ages,
    contract::{ContractError, InputContract},
    evidence::{Outlines, OutlinesError},
    guard::{Guard, GuardError},
    rates::Rates,
    shown::Shown,
    verdict::{OneSidedError, OperatingPoint, OperatingPointError, OperatingPoints, Profile},
};

/// Key of the card among the ONNX file's `metadata_props`.
pub const CARD_KEY: &str = "pumua.card";

/// Longest card, in bytes of JSON (256 KiB): five times that of the model that ships.
const MAX_CARD: usize = 256 * 1024;

/// Longest text of a card, in bytes: a recipe with its overrides has a few hundred.
const MAX_TEXT: usize = 4096;

/// Most hospitals of a card.
const MAX_SITES: usize = 64;

/// Most figures of a card.
const MAX_METRICS: usize = 256;

/// What the output near 0 and near 1 stands for in every model.
const LABELS: [&str; 2] = ["normal", "pneumonia"];

/// What a model file says of itself.
///
/// In JSON all of it lies in one object: the keys of the parts stand beside each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct ModelCard {
    /// Name of the model, 1 to 64 printable characters of ASCII, as the box shows it.
    pub name: String,
    /// All that its answers depend on.
    pub behaviour: Behaviour,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Figures with the part they were measured on, e.g. `test.accuracy`.
    pub metrics: BTreeMap<String, f64>,
    /// What the box says of labelled radiographs by each operating point, and on which data these were fitted; cards of before
    /// do not say it.
    pub measured: Option<Measured>,
}

/// What the box says of radiographs that it has not seen, counted with all its checks, and where its operating points are
/// from: the data of the training, or others by `pumua points`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// SHA-256 (hexadecimal) over the data.
    pub data_digest: String,
    /// How the data was split.
    pub split: String,
    /// Seed of the split.
    pub seed: u64,
    /// Number of radiographs that the operating points were fitted on; none of those that the rates are of.
    pub fitted_on: u32,
    /// The rates at each operating point, all of the same radiographs, the test part.
    pub rates: Vec<PointRates>,
}

/// What the box says of labelled radiographs by one operating point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointRates {
    /// The operating point.
    pub point: OperatingPoint,
    /// What is said by it.
    #[serde(flatten)]
    pub rates: Rates,
}

impl Measured {
    /// Checks that the rates are of points that the model has, and of the same radiographs, some of each kind.
    fn check(&self, behaviour: &Behaviour) -> Result<(), CardError> {
        let points = behaviour.points.map_or(vec![behaviour.point], |points| Profile::ALL.map(|p| points.of(p)).into());
        let known = |one: &PointRates| points.contains(&one.point);
        let kinds =
            |one: &PointRates| [one.rates.of_normal, one.rates.of_pneumonia].map(|kind| (kind.total(), kind.refused));
        let same = self.rates.windows(2).all(|pair| kinds(&pair[0]) == kinds(&pair[1]));
        let some = |one: &PointRates| kinds(one).iter().all(|(total, _)| *total > 0);
        if self.rates.len() <= points.len() && same && self.rates.iter().all(|one| known(one) && some(one)) {
            return Ok(());
        }
        Err(CardError::Rates)
    }
}

/// What a model is judged by: its input, and what its output means.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// What the model expects as its input.
    pub contract: InputContract,
    /// Where its answers change.
    pub point: OperatingPoint,
    /// The operating points to choose from; `point` is one of them. Files of recipes that only have a threshold have none.
    pub points: Option<OperatingPoints>,
    /// Distinguishes bacterial from viral pneumonia; on no screen as long as it is below the bar of `docs/model/subtypes.md`.
    pub subtypes: Option<Subtypes>,
    /// What the output near 0 and near 1 stands for.
    pub labels: [String; 2],
    /// True if the network is quantized to 8-bit integers.
    pub int8: bool,
    /// From where on places are outlined that speak for pneumonia; `None` if it is not known what normal radiographs reach.
    pub outlines: Option<Outlines>,
    /// What the training images look like, to refuse others; `None` if it is not known.
    pub guard: Option<Guard>,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Version of Pumua that made the file.
    pub version: String,
    /// True if it was trained on synthetic radiographs: its answers mean nothing medically.
    pub synthetic: bool,
    /// Recipe of the training.
    pub recipe: String,
    /// Seed of the training.
    pub seed: u64,
    /// How the data was split.
    pub split: String,
    /// SHA-256 (hexadecimal) over the data that it was trained on.
    pub data_digest: String,
    /// The ages that it is for, where whoever made it has stated them; see [`ModelCard::ages`]. Not the ages that it has learnt
    /// from: a second hospital may have sent adults.
    pub ages: Option<Ages>,
    /// The hospitals of its data; cards of before, and of models that were trained on drawings, do not list them.
    pub sites: Vec<SiteRecord>,
}

/// A hospital whose radiographs a model was trained or measured on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteRecord {
    /// What the training called it.
    pub name: String,
    /// Where the radiographs are from and under which licence, where that was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// SHA-256 (hexadecimal) over its data, whatever it is called.
    pub data_digest: String,
    /// True if the model has learnt from none of it: all of it is the test part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// Radiographs to learn from: normal, pneumonia.
    pub train: [u32; 2],
    /// Radiographs to monitor it on.
    pub validation: [u32; 2],
    /// Radiographs to measure on.
    pub test: [u32; 2],
    /// The youngest and the oldest in these parts, in years; `None` where no age is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages: Option<[f32; 2]>,
    /// Radiographs of these parts by view: PA, AP, not known.
    pub views: [u32; 3],
    /// Radiographs of these parts whose patients' ages are not known.
    pub ages_unknown: u32,
}

/// Whose radiographs a model has learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    /// The youngest and the oldest children.
    pub ages: Ages,
    /// Hospitals that the radiographs are from.
    pub hospitals: u16,
}

/// The data sets of which that is known, by their digests.
const POPULATIONS: [(&str, Population); 1] = [(
    // Kermany, Zhang, Goldbaum, doi:10.17632/rscbjbr9sj, as models/README.md describes them.
    "eef9177ac50c3a6a22fef18b359049f24141fb2e8602fc2670585def394c314a",
    Population { ages: Ages { from: 1, to: 5 }, hospitals: 1 },
)];

impl Population {
    /// Whose radiographs the data with this digest are, if that is known.
    fn of(data_digest: &str) -> Option<Self> {
        POPULATIONS.iter().find(|(digest, _)| *digest == data_digest).map(|(_, population)| *population)
    }
}

impl Provenance {
    /// For whom the model is meant, as its makers said or as its data are known; `None` if neither.
    pub fn population(&self) -> Option<Population> {
        let learnt = |site: &&SiteRecord| !site.left_out;
        let said = |ages| Population { ages, hospitals: self.hospitals(learnt).max(1) };
        self.ages.map(said).or_else(|| Population::of(&self.data_digest))
    }

    fn hospitals(&self, counted: impl Fn(&&SiteRecord) -> bool) -> u16 {
        u16::try_from(self.sites.iter().filter(counted).count()).unwrap_or(u16::MAX)
    }

    /// The hospital that was left out of the training, to be measured on.
    pub fn left_out(&self) -> Option<&SiteRecord> {
        self.sites.iter().find(|site| site.left_out)
    }
}

/// A card as files hold it, in the order of its keys.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Card")]
struct Stored {
    name: String,
    version: String,
    contract: InputContract,
    point: OperatingPoint,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    points: Option<OperatingPoints>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subtypes: Option<Subtypes>,
    labels: [String; 2],
    synthetic: bool,
    int8: bool,
    recipe: String,
    seed: u64,
    split: String,
    data_digest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sites: Vec<SiteRecord>,
    metrics: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outlines: Option<Outlines>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guard: Option<Guard>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ages: Option<Ages>,
}

impl From<Stored> for ModelCard {
    fn from(stored: Stored) -> Self {
        let Stored { name, version, contract, point, points, subtypes, labels, synthetic, int8, .. } = stored;
        let Stored { recipe, seed, split, data_digest, ages, sites, metrics, outlines, guard, measured, .. } = stored;
        Self {
            name,
            behaviour: Behaviour { contract, point, points, subtypes, labels, int8, outlines, guard },
            provenance: Provenance { version, synthetic, recipe, seed, split, data_digest, ages, sites },
            metrics,
            measured,
        }
    }
}

impl From<ModelCard> for Stored {
    fn from(ModelCard { name, behaviour, provenance, metrics, measured }: ModelCard) -> Self {
        let Behaviour { contract, point, points, subtypes, labels, int8, outlines, guard } = behaviour;
        let Provenance { version, synthetic, recipe, seed, split, data_digest, ages, sites } = provenance;
        Self {
            name,
            version,
            contract,
            point,
            points,
            subtypes,
            labels,
            synthetic,
            int8,
            recipe,
            seed,
            split,
            data_digest,
            sites,
            metrics,
            outlines,
            guard,
            measured,
            ages,
        }
    }
}

/// Log-odds of a viral against a bacterial pneumonia as a weighted sum of the features of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subtypes {
    /// Log-odds for each unit of a feature, one for each.
    pub weights: Vec<f32>,
    /// Log-odds that are added to the sum.
    pub bias: f32,
}

impl Subtypes {
    /// Log-odds of a virus; `None` if these are not as many features as there are weights.
    pub fn virus_logit(&self, features: &[f32]) -> Option<f32> {
        let products = features.iter().zip(&self.weights).map(|(feature, weight)| feature * weight);
        (features.len() == self.weights.len()).then(|| products.sum::<f32>() + self.bias)
    }
}

/// A card that is missing or cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// the file has no `pumua.card` metadata
    #[error("the ONNX file has no `{CARD_KEY}` metadata: use a model made by `pumua train` or `pumua quantize`")]
    Missing,
    /// the metadata is not a card
    #[error("the `{CARD_KEY}` metadata cannot be read ({}): use a model made by this version of `pumua train`", Shown(.0))]
    Json(#[from] serde_json::Error),
    /// the contract cannot be kept
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// the operating point is disordered
    #[error(transparent)]
    Point(#[from] OperatingPointError),
    /// the guard does not fit together
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// the outlines are disordered
    #[error(transparent)]
    Outlines(#[from] OutlinesError),
    /// the outputs stand for something else
    #[error(
        "the model's labels are {} and {}, not normal and pneumonia in this order: use a model made by `pumua train`",
        Shown(&.0[0]), Shown(&.0[1])
    )]
    Labels([String; 2]),
    /// the operating point is none of those to choose from
    #[error("the model decides by an operating point that is none of its own: use a model made by `pumua train`")]
    OtherPoint,
    /// the box would always say the same
    #[error(transparent)]
    OneSided(#[from] OneSidedError),
    /// the rates contradict themselves or the operating points
    #[error("the model's card has rates that cannot be: measure them again with `pumua points`")]
    Rates,
    /// no operating points to choose from
    #[error("the model has no operating points to choose from, only one: leave `profile` out, or use another model")]
    NoPoints,
    /// parts of the card are about other features than the network's
    #[error(
        "the model's card is about {card} features, its network has {network}: make the file again with `pumua train`"
    )]
    Features {
        /// By the card.
        card: usize,
        /// By the network.
        network: usize,
    },
    /// nothing keeps the model from judging what it should not
    #[error(
        "the model's card has no `guard` against unsuitable images: train it on 200 radiographs or more, with this release"
    )]
    NoGuard,
    /// the card says more than anybody reads
    #[error(
        "the model's card has a text of more than {MAX_TEXT} bytes, more than {MAX_METRICS} figures, more than {MAX_SITES} \
             hospitals, or {MAX_CARD} bytes in all: make the file again with `pumua train`"
    )]
    TooLong,
    /// ages that nobody can be between
    #[error("the model's card gives ages that cannot be: make the file again with `pumua train`")]
    Ages,
    /// a figure that is not a number
    #[error("the figure `{name}` of the model's card is not a number: make the file again with `pumua train`", name = Shown(.0))]
    Figure(String),
    /// the name does not fit the wire, or could be taken for something else on a screen
    #[error("the model's name is not 1 to 64 printable characters of ASCII: train it under another name")]
    Name,
}

impl Behaviour {
    /// Of a float model that decides at one half and refuses nothing.
    pub fn new(contract: InputContract) -> Self {
        Self {
            contract,
            point: OperatingPoint::HALF,
            points: None,
            subtypes: None,
            labels: LABELS.map(str::to_owned),
            int8: false,
            outlines: None,
            guard: None,
        }
    }

    /// Checks that what is said of features is about as many as the network has.
    pub(crate) fn check_features(&self, network: usize) -> Result<(), CardError> {
        let guarded = self.guard.as_ref().and_then(Guard::features);
        let weighted = self.subtypes.as_ref().map(|subtypes| subtypes.weights.len());
        match guarded.into_iter().chain(weighted).find(|&card| card != network) {
            Some(card) => Err(CardError::Features { card, network }),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), CardError> {
        self.contract.check()?;
        self.point.check()?;
        self.guard.as_ref().map_or(Ok(()), Guard::check)?;
        if let Some(points) = self.points {
            points.check()?;
            if Profile::ALL.iter().all(|&profile| points.of(profile) != self.point) {
                return Err(CardError::OtherPoint);
            }
        }
        self.outlines.map_or(Ok(()), |outlines| outlines.check())?;
        if self.labels.iter().zip(LABELS).all(|(label, meant)| label.eq_ignore_ascii_case(meant)) {
            return Ok(());
        }
        Err(CardError::Labels(self.labels.clone()))
    }
}

impl ModelCard {
    /// A float model of which nothing is known but what it is called and expects; it decides at one half.
    pub fn new(name: impl Into<String>, contract: InputContract) -> Self {
        Self {
            name: name.into(),
            behaviour: Behaviour::new(contract),
            provenance: Provenance::default(),
            metrics: BTreeMap::new(),
            measured: None,
        }
    }

    /// The ages that the model is for: those that whoever made it has stated, else those of the data that it has learnt from;
    /// `None` if neither is known.
    pub fn ages(&self) -> Option<Ages> {
        self.provenance.ages.or_else(|| Some(self.provenance.population()?.ages))
    }

    /// What the box says of labelled radiographs by the operating point in force; `None` where the card does not say it.
    pub fn rates(&self) -> Option<Rates> {
        let here = |one: &&PointRates| one.point == self.behaviour.point;
        self.measured.as_ref()?.rates.iter().find(here).map(|one| one.rates)
    }

    /// Hospitals that the radiographs of [`Self::measured`] are from; `None` where the card does not say it.
    pub fn hospitals_measured(&self) -> Option<u16> {
        let Provenance { data_digest, sites, .. } = &self.provenance;
        let measured = self.measured.as_ref()?;
        if measured.data_digest == *data_digest && !sites.is_empty() {
            return Some(self.provenance.hospitals(|site| site.test != [0; 2]));
        }
        Population::of(&measured.data_digest).map(|population| population.hospitals)
    }

    /// Reads and checks a card.
    pub fn from_json(json: &str) -> Result<Self, CardError> {
        if json.len() > MAX_CARD {
            return Err(CardError::TooLong);
        }
        let card: Self = serde_json::from_str(json)?;
        card.behaviour.check()?;
        card.check_lengths()?;
        card.measured.as_ref().map_or(Ok(()), |measured| measured.check(&card.behaviour))?;
        let printable = card.name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(1..=64).contains(&card.name.len()) || !printable {
            return Err(CardError::Name);
        }
        Ok(card)
    }

    fn check_lengths(&self) -> Result<(), CardError> {
        let Provenance { version, recipe, split, data_digest, sites, .. } = &self.provenance;
        let of_sites = sites.iter().flat_map(|site| [&site.name, &site.source, &site.data_digest]);
        let texts = [version, recipe, split, data_digest].into_iter().chain(of_sites).chain(self.metrics.keys());
        let too_many = self.metrics.len() > MAX_METRICS || sites.len() > MAX_SITES;
        if too_many || texts.map(String::len).any(|length| length > MAX_TEXT) {
            return Err(CardError::TooLong);
        }
        let mut found = sites.iter().filter_map(|site| site.ages);
        if found.any(|[from, to]| !(0.0 <= from && from <= to)) {
            return Err(CardError::Ages);
        }
        match self.metrics.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, _)) => Err(CardError::Figure(name.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFAULT_MODEL, decode};

    /// The card that a model of version 0.1.0 was written with.
    const BEFORE: &str = r#"{"name":"tiny","version":"0.1.0","contract":{"side":64,"fit":"stretch","scale":0.003921569,"zero_point":0},"point":{"threshold":0.5,"refer_from":0.25,"refer_to":0.75},"labels":["normal","pneumonia"],"synthetic":true,"int8":false,"recipe":"tiny","seed":7,"split":"patient","data_digest":"00ff","metrics":{"test.accuracy":0.9375}}"#;

    const ONE_TO_FIVE: Ages = Ages { from: 1, to: 5 };

    /// What lies before, in and after the figures.
    fn parts(json: &str) -> [&str; 3] {
        let (before, rest) = json.split_once(r#""metrics":{"#).unwrap();
        let (metrics, after) = rest.split_once('}').unwrap();
        [before, metrics, after]
    }

    fn figures(metrics: &str) -> impl Iterator<Item = (&str, f64)> {
        metrics.split(',').map(|figure| figure.split_once(':').unwrap()).map(|(k, v)| (k, v.parse().unwrap()))
    }

    #[test]
    fn cards_are_written_as_they_were_read() {
        let file = decode(DEFAULT_MODEL).unwrap();
        let shipped = &file.metadata_props.iter().find(|entry| entry.key == CARD_KEY).unwrap().value;
        for json in [shipped, BEFORE] {
            let again = serde_json::to_string(&ModelCard::from_json(json).unwrap()).unwrap();
            let ([before, metrics, after], [again_before, again_metrics, again_after]) = (parts(json), parts(&again));
            assert_eq!((again_before, again_after), (before, after));
            // The last bit of a figure of f64 is lost when JSON is read.
            for ((name, value), (again_name, again_value)) in figures(metrics).zip(figures(again_metrics)) {
                assert!(name == again_name && (value - again_value).abs() < 1e-15, "{name} {value} {again_value}");
            }
            assert_eq!(figures(metrics).count(), figures(again_metrics).count());
        }
    }

    #[test]
    fn whom_a_model_is_made_for_is_known_by_its_card_or_its_data() {
        let card = |json: &str| ModelCard::from_json(json).unwrap().provenance;
        let file = decode(DEFAULT_MODEL).unwrap();
        let shipped = &file.metadata_props.iter().find(|entry| entry.key == CARD_KEY).unwrap().value;
        assert_eq!(card(shipped).population(), Some(Population { ages: ONE_TO_FIVE, hospitals: 2 }), "as it says");
        assert_eq!(card(&of_home()).population(), Some(Population { ages: ONE_TO_FIVE, hospitals: 1 }));
        assert_eq!(card(BEFORE).population(), None);
    }

    /// A card of before that was trained on data of which more is known than it says.
    fn of_home() -> String {
        BEFORE.replacen("00ff", POPULATIONS[0].0, 1)
    }

    /// A card that lists a hospital.
    fn with_sites(sites: &str) -> String {
        BEFORE.replacen("\"metrics\"", &format!("\"ages\":[1,5],\"sites\":{sites},\"metrics\""), 1)
    }

    const CLINIC: &str = r#"{"name":"clinic","data_digest":"11","train":[3,4],"validation":[1,1],"test":[2,2],"ages":[18.0,90.5],"views":[1,2,10],"ages_unknown":3}"#;

    #[test]
    fn hospitals_and_ages_are_said_and_bounded() {
        let home = CLINIC.replace("clinic", "home").replace("[18.0,90.5]", "[1.0,5.0]");
        let left_out = CLINIC.replace(r#""train":[3,4]"#, r#""left_out":true,"train":[0,0]"#);
        let card = |sites: &str| ModelCard::from_json(&with_sites(sites));
        let two = card(&format!("[{home},{CLINIC}]")).unwrap();
        assert_eq!(
            two.provenance.population(),
            Some(Population { ages: ONE_TO_FIVE, hospitals: 2 }),
            "adults change nothing"
        );
        assert_eq!((two.provenance.sites[1].ages, two.provenance.left_out()), (Some([18.0, 90.5]), None));
        assert_eq!(two.hospitals_measured(), None, "nothing was measured");
        let mut out = card(&format!("[{home},{left_out}]")).unwrap();
        assert_eq!(out.provenance.population().unwrap().hospitals, 1);
        assert_eq!(out.provenance.left_out().unwrap().name, "clinic");
        out.measured = Some(Measured {
            data_digest: "00ff".to_owned(),
            split: "patient".to_owned(),
            seed: 7,
            fitted_on: 2,
            rates: Vec::new(),
        });
        assert_eq!(out.hospitals_measured(), Some(2));
        out.provenance.sites[0].test = [0, 0];
        assert_eq!(out.hospitals_measured(), Some(1), "only one is in the test part");
        out.measured.as_mut().unwrap().data_digest = "11".to_owned();
        assert_eq!(out.hospitals_measured(), None, "other data");
        let again = serde_json::to_string(&two).unwrap();
        assert_eq!(ModelCard::from_json(&again).unwrap(), two);

        let many = format!("[{}]", vec![CLINIC; MAX_SITES + 1].join(","));
        let long = CLINIC.replace("clinic", &"x".repeat(MAX_TEXT + 1));
        for sites in [many, format!("[{long}]")] {
            assert!(matches!(card(&sites), Err(CardError::TooLong)), "{sites:.80}");
        }
        for ages in ["[90.5,18.0]", "[-1.0,4.0]"] {
            assert!(
                matches!(card(&format!("[{}]", CLINIC.replace("[18.0,90.5]", ages))), Err(CardError::Ages)),
                "{ages}"
            );
        }
        let turned = with_sites("[]").replace("[1,5]", "[5,1]");
        assert!(matches!(ModelCard::from_json(&turned), Err(CardError::Json(_))));
        let negative = CLINIC.replace("[3,4]", "[-3,4]");
        assert!(matches!(card(&format!("[{negative}]")), Err(CardError::Json(_))));
    }

    #[test]
    fn the_ages_that_a_card_states_go_before_those_of_its_data() {
        for (json, of_data) in [(&*of_home(), Some(ONE_TO_FIVE)), (BEFORE, None)] {
            assert_eq!(ModelCard::from_json(json).unwrap().ages(), of_data);
            let stated = |ages: &str| ModelCard::from_json(&json.replacen('{', &format!("{{\"ages\":{ages},"), 1));
            let card = stated("[2,10]").unwrap();
            assert_eq!(card.ages(), Some(Ages { from: 2, to: 10 }));
            let again = ModelCard::from_json(&serde_json::to_string(&card).unwrap()).unwrap();
            assert_eq!(again.ages(), card.ages());
            for wrong in ["[10,2]", "[1,131]", "[1]", "[-1,5]", "\"1-5\""] {
                assert!(matches!(stated(wrong), Err(CardError::Json(_))), "{wrong}");
            }
        }
    }

    #[test]
    fn names_are_short_and_printable() {
        let named = |name: &str| {
            let key = format!("\"name\":{}", serde_json::json!(name));
            ModelCard::from_json(&BEFORE.replacen("\"name\":\"tiny\"", &key, 1))
        };
        assert!(named("screener-160px seed 1, int8").is_ok() && named(&"x".repeat(64)).is_ok());
        for name in ["", &"x".repeat(65), "a\u{1b}[2J", "a\nthreshold", "a\rb", "a\u{202e}b", "é"] {
            assert!(matches!(named(name), Err(CardError::Name)), "{name:?}");
        }
        let labels = BEFORE.replace("\"normal\"", r#""\u001b[2J""#);
        let error = ModelCard::from_json(&labels).unwrap_err().to_string();
        assert!(error.contains(r"\u{1b}[2J"), "{error}");
    }

    #[test]
    fn a_card_of_before_has_none_of_what_came_later() {
        let card = ModelCard::from_json(BEFORE).unwrap();
        assert_eq!((card.rates(), &card.measured), (None, &None));
        let ModelCard { name, behaviour, provenance, metrics, .. } = card;
        assert_eq!((name.as_str(), behaviour.contract.side, behaviour.point.refer_to), ("tiny", 64, 0.75));
        assert!(behaviour.points.is_none() && behaviour.subtypes.is_none() && behaviour.outlines.is_none());
        assert!(behaviour.guard.is_none() && !behaviour.int8);
        assert_eq!((provenance.seed, provenance.split.as_str(), provenance.synthetic), (7, "patient", true));
        assert_eq!((provenance.ages, provenance.sites.as_slice()), (None, [].as_slice()));
        assert_eq!(metrics["test.accuracy"], 0.9375);
    }
}
