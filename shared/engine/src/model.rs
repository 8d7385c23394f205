//! A loaded model.

use std::{
    fs::File,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use kernels::{Kernels, KernelsError};
use prost::Message;
use shared::{
    contract::InputContract,
    shown::Shown,
    verdict::{self, Digest, ModelRefusal},
};
use tract_onnx::tract_hir::internal::*;

use crate::{
    activation::{ActivationMap, Head, Seen},
    budget::{BudgetError, Demand},
    card::{Behaviour, CARD_KEY, CardError, ModelCard},
    check::{self, GraphError, OUTPUTS},
    execution::Execution,
    fitness::{Known, MARGIN},
    float, fuse, fused, integer,
    onnx::{
        graph::Graph,
        pb::{ModelProto, ValueInfoProto},
    },
    timing::Timing,
};

/// Largest model file that is read, in bytes (64 MiB).
pub const MAX_MODEL_BYTES: u64 = 64 * 1024 * 1024;

/// Most values of one tensor of a model for one image (64 MiB of f32).
const MAX_TENSOR: usize = 16 * 1024 * 1024;

/// Why a model cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// the file cannot be read
    #[error("cannot read the model {}: {source}", Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// larger than the limit
    #[error("the model is larger than 64 MiB: use a smaller network")]
    TooLarge,
    /// not an ONNX file
    #[error("this is not an ONNX file, or it is damaged ({0}): copy it again, or make it with `pumua train`")]
    Protobuf(#[from] prost::DecodeError),
    /// the card is missing or wrong
    #[error(transparent)]
    Card(#[from] CardError),
    /// the graph is not one that can be run
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// the kernels that are asked for cannot run
    #[error(transparent)]
    Kernels(#[from] KernelsError),
    /// tract cannot build or run the network
    #[error("the network cannot be run ({0}): export it again, or use a model made by `pumua train`")]
    Network(String),
    /// it asks for more than a box has
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// it does not tell sick children from healthy ones
    #[error(
        "the model's log-odds of pneumonia are {sick} on the average radiograph of children with pneumonia and {healthy} on that of \
         healthy ones, which must be lower by {MARGIN}: do not use it, and report it if `pumua train` made it"
    )]
    WrongAnswers {
        /// On the average of normal radiographs.
        healthy: f32,
        /// On that of radiographs with pneumonia.
        sick: f32,
    },
    /// a known answer is another one, or weights have changed in memory
    #[error(
        "the model's weights or its answers to known pictures are not what they were: restart the box, and replace its board if \
         it happens again"
    )]
    SelfTest,
    /// an input of the wrong length
    #[error("the input has {found} bytes, the model needs {wanted}: prepare the image for this model")]
    Input {
        /// Bytes given.
        found: usize,
        /// `side * side` of the model's contract.
        wanted: usize,
    },
}

impl ModelError {
    /// What is reported to a host whose model the box cannot take.
    pub fn refusal(&self) -> ModelRefusal {
        match self {
            Self::TooLarge => ModelRefusal::TooLarge,
            Self::Read { .. } | Self::Protobuf(_) => ModelRefusal::NotAModel,
            Self::Card(CardError::NoPoints) => ModelRefusal::NoProfile,
            Self::Card(_) => ModelRefusal::WrongCard,
            Self::Budget(_) => ModelRefusal::TooSlow,
            Self::WrongAnswers { .. } => ModelRefusal::WrongAnswers,
            Self::Graph(_) | Self::Kernels(_) | Self::Network(_) | Self::SelfTest | Self::Input { .. } => {
                ModelRefusal::NotRunnable
            }
        }
    }
}

/// The answer of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Log-odds of pneumonia: the network's last value before the sigmoid.
    pub logit: f32,
    /// Probability of pneumonia, 0..=1.
    pub probability: f32,
}

/// The answer of a model, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Examination {
    /// The answer: that of [`Model::classify`], to the bit.
    pub score: Score,
    /// The global average of each channel of the last feature map, before it is rounded. In int8 each channel has a unit of
    /// its own: the quantizer makes channels equally large. Empty unless the network ends in global average pooling and one
    /// dense layer.
    pub features: Vec<f32>,
    /// What each place adds to the logit. `None` where there are no features.
    pub map: Option<ActivationMap>,
}

/// A model, ready to run.
///
/// It may be shared by threads: every [`Model::classify`] works in memory of its own, so a reference can be used from any
/// number of (rayon) threads at once. One call uses one thread. A fused network keeps that memory for the next image, and
/// then allocates nothing.
pub struct Model {
    card: ModelCard,
    digest: Digest,
    pub(crate) network: Network,
    execution: Execution,
    load_time: Duration,
    /// What it answered to known pictures, if it was loaded for a box.
    pub(crate) known: Option<Known>,
}

/// What runs.
pub(crate) enum Network {
    Fused(Box<fused::Network>),
    Tract { plan: Plan, head: Option<Head> },
}

impl Network {
    /// Features of an image: as many as the last map has channels, or none.
    fn features(&self) -> usize {
        let head = match self {
            Self::Fused(network) => network.head(),
            Self::Tract { head, .. } => head.as_ref(),
        };
        head.map_or(0, Head::channels)
    }
}

impl Model {
    /// Loads a model file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let fail = |source| ModelError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(fail)?;
        file.take(MAX_MODEL_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
        Self::from_bytes(&bytes)
    }

    /// Loads a model from the bytes of an ONNX file, with the kernels that `PUMUA_KERNELS` names, or else the fastest.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::from_bytes_with(bytes, Kernels::choose()?)
    }

    /// Loads a model from the bytes of an ONNX file, with these kernels. All give the same answers.
    pub fn from_bytes_with(bytes: &[u8], kernels: Kernels) -> Result<Self, ModelError> {
        Self::load(bytes, kernels, false)
    }

    /// Loads a model; one for a box is held to its budget before it is built.
    pub(crate) fn load(bytes: &[u8], kernels: Kernels, for_box: bool) -> Result<Self, ModelError> {
        let start = Instant::now();
        // Kernels for another processor are refused with the names of those for this one.
        let kernels = kernels.name().parse()?;
        let file = decode(bytes)?;
        let card = card(&file)?;
        check::check(&file, &card.behaviour)?;
        let demand = if for_box { Some(demand(&file, &card)?) } else { None };
        let (network, execution) = build(&file, &card.behaviour, kernels)?;
        if let (Some(demand), Execution::Tract { .. }) = (demand, &execution) {
            demand.unfused().check()?;
        }
        card.behaviour.check_features(network.features())?;
        Ok(Self { card, digest: Digest::of(bytes), network, execution, load_time: start.elapsed(), known: None })
    }

    /// How the network is computed.
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// What it took to parse and check the file, recognise the network and pack its weights.
    pub fn load_time(&self) -> Duration {
        self.load_time
    }

    /// Decides by the operating point of this profile from now on: the card's `point` becomes it.
    pub fn decide_by(&mut self, profile: verdict::Profile) -> Result<(), CardError> {
        self.card.behaviour.point = self.card.behaviour.points.ok_or(CardError::NoPoints)?.of(profile);
        Ok(())
    }

    /// What the file says of itself.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    fn contract(&self) -> &InputContract {
        &self.card.behaviour.contract
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Judges one input of `card().behaviour.contract.len()` bytes, as [`shared::preprocess`] makes it.
    pub fn classify(&self, input: &[u8]) -> Result<Score, ModelError> {
        check_input(self.contract(), input)?;
        match &self.network {
            Network::Fused(network) => {
                let [logit, probability] = guarded(|| network.classify(input))?;
                Ok(Score { logit, probability })
            }
            Network::Tract { plan, .. } => score(&plan.run(self.contract(), input)?),
        }
    }

    /// Judges one input as [`Model::classify`] does, and reports from the same pass what the answer rests on.
    pub fn examine(&self, input: &[u8]) -> Result<Examination, ModelError> {
        check_input(self.contract(), input)?;
        let (score, seen) = match &self.network {
            Network::Fused(network) => {
                let ([logit, probability], seen) = guarded(|| network.examine(input))?;
                (Score { logit, probability }, seen)
            }
            Network::Tract { plan, head } => {
                let outputs = plan.run(self.contract(), input)?;
                let last = head.as_ref().and_then(|head| Some((head, outputs.get(2)?)));
                (score(&outputs)?, last.and_then(|(head, map)| head.see_planes(map)))
            }
        };
        let (features, map) = seen.map_or((Vec::new(), None), |Seen { features, map }| (features, Some(map)));
        Ok(Examination { score, features, map })
    }

    /// Measures what the layers of a fused network take, the network and its layers `rounds` times in turn on one input. `None`
    /// if the network is not fused.
    pub fn time(&self, input: &[u8], rounds: usize) -> Result<Option<Timing>, ModelError> {
        check_input(self.contract(), input)?;
        match &self.network {
            Network::Fused(network) => guarded(|| network.time(input, rounds)).map(Some),
            Network::Tract { .. } => Ok(None),
        }
    }
}

/// What a file that has been checked asks of a box, if a box has that and its card all that it needs there.
fn demand(file: &ModelProto, card: &ModelCard) -> Result<Demand, ModelError> {
    card.check_for_box()?;
    let graph = &Graph::new(file.graph.as_ref().ok_or(GraphError::Empty)?);
    let demand = Demand::of(graph, card.behaviour.contract.side)?;
    demand.check()?;
    Ok(demand)
}

/// Builds what runs a file that has been checked.
fn build(file: &ModelProto, behaviour: &Behaviour, kernels: Kernels) -> Result<(Network, Execution), ModelError> {
    let graph = &Graph::new(file.graph.as_ref().ok_or(GraphError::Empty)?);
    let contract = &behaviour.contract;
    if !behaviour.int8 {
        let end = float::End::find(graph);
        let outputs: Vec<&str> = OUTPUTS.into_iter().chain(end.as_ref().map(|end| end.map.as_str())).collect();
        let plan = Plan::new(file, contract, &outputs)?;
        let head = end.and_then(|end| end.head(plan.shapes.get(2)?));
        return Ok((Network::Tract { plan, head }, Execution::float(graph)));
    }
    let fused = guarded(|| {
        Ok(fuse::Plan::new(graph, contract).and_then(|plan| {
            let layouts = plan.layouts()?;
            let prepared = plan.prepare(kernels, &layouts)?;
            Ok((plan, layouts, prepared))
        }))
    })?;
    match fused {
        Ok((plan, layouts, prepared)) => {
            let execution = Execution::Fused { kernels, layers: prepared.len() };
            let network = guarded(|| fused::Network::new(&plan, &layouts, prepared))?;
            Ok((Network::Fused(Box::new(network)), execution))
        }
        Err(reason) => {
            let plan = Plan::new(file, contract, &OUTPUTS)?;
            Ok((Network::Tract { plan, head: None }, Execution::unfused(graph, reason)))
        }
    }
}

/// The score among the outputs of tract, logit and probability first.
fn score(outputs: &[Vec<f32>]) -> Result<Score, ModelError> {
    match outputs {
        [logit, probability, ..] if logit.len() == 1 && probability.len() == 1 => {
            Ok(Score { logit: logit[0], probability: probability[0] })
        }
        _ => Err(ModelError::Network("logit and probability are not one value each".into())),
    }
}

fn check_input(contract: &InputContract, input: &[u8]) -> Result<(), ModelError> {
    let (found, wanted) = (input.len(), contract.len());
    if found == wanted { Ok(()) } else { Err(ModelError::Input { found, wanted }) }
}

/// Reads an ONNX file of at most [`MAX_MODEL_BYTES`].
pub fn decode(bytes: &[u8]) -> Result<ModelProto, ModelError> {
    if bytes.len() as u64 > MAX_MODEL_BYTES {
        return Err(ModelError::TooLarge);
    }
    Ok(ModelProto::decode(bytes)?)
}

/// The card of an ONNX file.
pub fn card(file: &ModelProto) -> Result<ModelCard, CardError> {
    let entry = file.metadata_props.iter().find(|entry| entry.key == CARD_KEY);
    ModelCard::from_json(&entry.ok_or(CardError::Missing)?.value)
}

/// Watches tensors inside a model while it runs: for the ranges that a quantizer looks for.
pub struct Observer {
    contract: InputContract,
    plan: Plan,
}

impl Observer {
    /// Prepares a model to report the f32 tensors of these names.
    pub fn new(file: &ModelProto, tensors: &[&str]) -> Result<Self, ModelError> {
        let behaviour = card(file)?.behaviour;
        check::check(file, &behaviour)?;
        let plan = Plan::new(file, &behaviour.contract, tensors)?;
        Ok(Self { contract: behaviour.contract, plan })
    }

    /// The tensors for one input of `contract.len()` bytes, in the order of the names, each row-major.
    pub fn run(&self, input: &[u8]) -> Result<Vec<Vec<f32>>, ModelError> {
        check_input(&self.contract, input)?;
        self.plan.run(&self.contract, input)
    }
}

/// What tract made of the file.
pub(crate) struct Plan {
    runnable: Arc<TypedRunnableModel>,
    /// Shapes of the outputs.
    shapes: Vec<Vec<usize>>,
}

impl Plan {
    /// Builds the network for one image, with these outputs.
    fn new(file: &ModelProto, contract: &InputContract, outputs: &[&str]) -> Result<Self, ModelError> {
        let mut file = file.clone();
        if let Some(graph) = &mut file.graph {
            // The shapes of inner tensors are inferred; what a file says of them need not be believed.
            graph.value_info.clear();
            let output = |name: &&str| ValueInfoProto { name: (*name).to_owned(), ..ValueInfoProto::default() };
            graph.output = outputs.iter().map(output).collect();
        }
        let side = usize::from(contract.side);
        guarded(|| {
            let mut model = integer::importer().model_for_proto_model(&file)?;
            model.set_input_fact(0, f32::fact([1, 1, side, side]).into())?;
            let model = model.into_typed()?;
            for node in model.nodes() {
                for output in &node.outputs {
                    let shape = output.fact.shape.as_concrete().context("a shape depends on the data")?;
                    let values = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
                    ensure!(values.is_some_and(|n| n <= MAX_TENSOR), "tensor {} is too large: {shape:?}", node.name);
                }
            }
            let shape = |index| Ok(model.output_fact(index)?.shape.as_concrete().unwrap_or_default().to_vec());
            let shapes = (0..outputs.len()).map(shape).collect::<TractResult<_>>()?;
            Ok(Self { runnable: model.into_optimized()?.into_runnable()?, shapes })
        })
    }

    fn run(&self, contract: &InputContract, input: &[u8]) -> Result<Vec<Vec<f32>>, ModelError> {
        let side = usize::from(contract.side);
        let values: Vec<f32> = input.iter().map(|&pixel| contract.value(pixel)).collect();
        guarded(|| {
            let image = Tensor::from_shape(&[1, 1, side, side], &values)?;
            let outputs = self.runnable.run(tvec!(image.into_tvalue()))?;
            outputs.iter().map(|tensor| Ok(tensor.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())).collect()
        })
    }
}

/// Runs tract; what it reports, and what it panics with on a file that contradicts itself, becomes an error.
fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, ModelError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ModelError::Network(format!("{error:#}"))),
        Err(_) => Err(ModelError::Network("its parts contradict each other".into())),
    }
}
