//! Judges in this program, as `pumua predict` does.

use engine::{Model, judge::Prepared};
use report::view;
use serve::{By, Judge, Judged, Outcome, Pictures, Unavailable};
use shared::{
    evidence::Evidence,
    preprocess::Picture,
    verdict::{ExamId, Fault},
};

use crate::commands::view::{Look, look};

/// A model of this program.
pub(super) struct Here {
    pub(super) model: Model,
    pub(super) any_age: bool,
}

impl Here {
    fn name(&self) -> By {
        let card = self.model.card();
        let (model, digest) = (card.name.clone(), self.model.digest());
        By { model, digest, synthetic: card.provenance.synthetic, ages: card.ages() }
    }
}

impl Judge for Here {
    fn by(&self) -> Option<By> {
        Some(self.name())
    }

    fn judge(&mut self, film: Vec<u8>, _exam: &ExamId) -> Result<Judged, Unavailable> {
        let told = |outcome, pictures| Ok(Judged { by: self.name(), outcome, pictures });
        let radiograph = match decode::decode(&film) {
            Ok(radiograph) => radiograph,
            Err(refusal) => return told(Outcome::Refused(refusal), Pictures::default()),
        };
        let Ok(Look { prepared, judgement, .. }) = look(&self.model, &radiograph, false, self.any_age) else {
            return told(Outcome::Failed(Fault::Inference), Pictures::default());
        };
        let picture = radiograph.picture();
        let evidence = judgement.evidence(self.model.card(), [picture.width(), picture.height()]);
        let outcome = match judgement.verdict {
            Ok(verdict) => Outcome::Judged {
                verdict,
                probability: judgement.examination.score.probability,
                point: self.model.card().behaviour.point,
                age: judgement.age,
                looked: evidence.is_some(),
                record: None,
            },
            Err(refusal) => Outcome::Refused(refusal),
        };
        let evidence = evidence.filter(|evidence| judgement.verdict.is_ok() && evidence.is_shown());
        told(outcome, pictures(&picture, &prepared, evidence))
    }
}

/// The pictures of a film; none where they cannot be drawn, which takes nothing from the answer.
pub(super) fn pictures(picture: &Picture<'_>, prepared: &Prepared<'_>, evidence: Option<Evidence>) -> Pictures {
    let panes = view::Panes { picture, judged: prepared.window(), square: prepared.pixels(), evidence };
    match view::pictures(&panes) {
        Ok(view::Pictures { film, square, evidence }) => Pictures { film: Some(film), square: Some(square), evidence },
        Err(error) => {
            base::say!("the pictures of a film were not drawn: {error}");
            Pictures::default()
        }
    }
}
