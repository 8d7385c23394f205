//! Takes bundles of the box's own program from the page to the box, as `pumua update` does.

use std::{io, path::Path, time::Duration};

use base::files::read_up_to;
use link::{Delivered, Delivering, Delivery, LinkError, Patience, PortOptions};
use serve::{Contents, Courier, Ending, Errand, NotSent, Sending, Step};
use shared::limits::MAX_BUNDLE_BYTES;
use wire::SoftwareStage;

use crate::commands::software::examine;

/// The way to the box on a serial line.
pub(super) struct ToBox {
    pub(super) port: PortOptions,
}

impl Courier for ToBox {
    fn examine(&self, file: &Path) -> Result<Contents, NotSent> {
        examine(file)
    }

    fn begin(&self, file: &Path, version: &str) -> io::Result<Box<dyn Errand>> {
        let (bytes, patience) = (read_up_to(file, MAX_BUNDLE_BYTES)?, Patience::default());
        let delivery = Delivery::new(bytes, version, patience);
        Ok(Box::new(OnTheWay { delivery, port: self.port.clone(), patience }))
    }
}

/// A bundle of which the box may have a part.
struct OnTheWay {
    delivery: Delivery<'static>,
    port: PortOptions,
    patience: Patience,
}

impl Errand for OnTheWay {
    fn go_on(&mut self, told: &mut dyn FnMut(Sending), rests: &dyn Fn() -> bool) -> Step {
        let went = self.delivery.go_on(
            &self.port,
            &mut |delivering| match delivering {
                Delivering::Sent { done, total } => told(Sending::Sent { done, total }),
                Delivering::Installing => told(Sending::Installing),
                // It is told below.
                Delivering::Waiting(_) => {}
            },
            rests,
        );
        let may_go_on = went.as_ref().is_err_and(|error| self.delivery.may_go_on(error));
        step(went, may_go_on, rests(), &self.patience)
    }
}

/// What comes next. `rests`: a film is to have the line, and then the bundle at once.
fn step(went: Result<Option<Delivered>, LinkError>, may_go_on: bool, rests: bool, patience: &Patience) -> Step {
    match went {
        Ok(Some(delivered)) => Step::Ended(ending(delivered)),
        Ok(None) => Step::Later(if rests { Duration::ZERO } else { patience.release }),
        Err(error) if may_go_on => Step::Troubled(error.to_string(), patience.pause),
        Err(error) => Step::Ended(Ending::GivenUp(error.to_string())),
    }
}

fn ending(delivered: Delivered) -> Ending {
    match delivered {
        Delivered::AlreadyThere(SoftwareStage::Confirmed) => Ending::Running,
        Delivered::Staged | Delivered::AlreadyThere(_) => Ending::Staged,
        Delivered::Refused(refusal) => Ending::Refused(refusal),
    }
}

#[cfg(test)]
mod tests {
    use shared::verdict::{Fault, SoftwareRefusal};

    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_the_rest_is_told() {
        let patience = Patience::default();
        let busy = || Err(LinkError::Fault(Fault::Busy));
        assert!(matches!(step(busy(), true, false, &patience), Step::Troubled(_, pause) if pause == patience.pause));
        assert!(matches!(step(busy(), false, false, &patience), Step::Ended(Ending::GivenUp(_))));
        assert_eq!(step(Ok(None), false, true, &patience), Step::Later(Duration::ZERO));
        assert_eq!(step(Ok(None), false, false, &patience), Step::Later(patience.release));
        for (delivered, ending) in [
            (Delivered::Staged, Ending::Staged),
            (Delivered::AlreadyThere(SoftwareStage::Staged), Ending::Staged),
            (Delivered::AlreadyThere(SoftwareStage::Confirmed), Ending::Running),
            (Delivered::Refused(SoftwareRefusal::NoSlots), Ending::Refused(SoftwareRefusal::NoSlots)),
        ] {
            assert_eq!(step(Ok(Some(delivered)), false, false, &patience), Step::Ended(ending));
        }
    }
}
