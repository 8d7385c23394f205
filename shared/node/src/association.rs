//! An association: what is agreed, then one command after the other until it ends.

use std::{
    collections::VecDeque,
    io::Read,
    net::IpAddr,
    time::{Duration, Instant},
};

use dicom_ul::pdu::{AbortRQServiceProviderReason, PDataValue, PDataValueType, Pdu};

use crate::{
    agree::{Context, IMAGES, Refused, agree},
    command::{Asked, Command, MAX_COMMAND},
    event::{Event, What},
    film::{DataSet, head},
    line::{End, Line, MAX_PDU},
    open::{Film, Films, Limits, Taken},
    status::Status,
    title::Node,
};

/// How long whoever connects may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a command may take that is sent in parts.
const COMMAND: Duration = Duration::from_secs(5);
/// Bytes before each part of a message in a PDU.
const PART_HEAD: usize = 6;

/// Who is at the other end, and where it is told what happens.
pub(crate) struct Desk<'a> {
    pub(crate) node: &'a Node,
    pub(crate) films: &'a dyn Films,
    pub(crate) limits: &'a Limits,
    pub(crate) peer: IpAddr,
    /// [`Films::moment`] when the other end connected.
    pub(crate) since: u64,
}

impl Desk<'_> {
    pub(crate) fn note(&self, event: impl Into<Event>) {
        self.films.note(self.peer, self.since, event.into());
    }
}

/// An association that was agreed to.
pub(crate) struct Association<'l> {
    line: &'l Line<'l>,
    contexts: Vec<Context>,
    /// Most bytes of a PDU that the other end takes.
    max_pdu: usize,
    /// Parts of messages that came with others.
    parts: VecDeque<PDataValue>,
    /// Whether anything was asked for.
    asked: bool,
    echoes: u64,
    /// Films that were taken, those that were there already among them.
    films: u64,
    known: u64,
}

/// Serves whoever has connected, or turns it away.
pub(crate) fn serve(desk: &Desk<'_>, line: &Line<'_>, refused: Option<Refused>) {
    let request = match line.read(Instant::now() + REQUEST) {
        Ok(Pdu::AssociationRQ(request)) => request,
        Ok(_) | Err(End::Malformed) => {
            desk.note(if refused == Some(Refused::Stranger) { What::Stranger } else { What::Foreign });
            line.abort(AbortRQServiceProviderReason::UnrecognizedPdu);
            return;
        }
        // Whoever says nothing is told nothing.
        Err(_) => return,
    };
    let agreed = match refused.map_or_else(|| agree(request, desk.node, desk.peer), Err) {
        Ok(agreed) => agreed,
        Err(refused) => {
            desk.note(refused.event());
            if line.write(&Pdu::AssociationRJ(refused.answer())).is_ok() {
                line.close();
            }
            return;
        }
    };
    let can_send = agreed.trouble.is_none();
    if let Some(trouble) = agreed.trouble {
        desk.note(trouble);
    }
    if line.write(&Pdu::AssociationAC(agreed.answer)).is_err() {
        return;
    }
    let max_pdu = match agreed.max_pdu {
        0 => MAX_PDU,
        length => length.min(MAX_PDU),
    } as usize;
    let (parts, contexts) = (VecDeque::new(), agreed.contexts);
    let mut association = Association { line, contexts, max_pdu, parts, asked: false, echoes: 0, films: 0, known: 0 };
    let (end, why) = association.run(desk);
    association.note_done(desk, &agreed.calling);
    // Many a program finds only now that it cannot send in what was agreed, and says so nowhere.
    if can_send && !association.asked && matches!(end, End::Released | End::Aborted | End::Gone) {
        desk.note(Event::new(What::Nothing, [agreed.calling]));
    }
    if let Some(what) = why {
        desk.note(what);
    }
    match end {
        End::Released => {
            if line.write(&Pdu::ReleaseRP).is_ok() {
                line.close();
            }
        }
        End::Aborted | End::Gone | End::Unheard => {}
        End::Malformed => line.abort(AbortRQServiceProviderReason::UnexpectedPdu),
        End::Idle | End::Slow | End::TooMuch | End::Stopped => {
            line.abort(AbortRQServiceProviderReason::ReasonNotSpecified);
        }
    }
}

impl Association<'_> {
    /// Does what is asked for, until the end, and says what is to be noted of that.
    fn run(&mut self, desk: &Desk<'_>) -> (End, Option<What>) {
        loop {
            let (end, in_a_film) = match self.command(desk.limits.idle) {
                Ok((context, command)) => match self.obey(desk, context, &command) {
                    Ok(()) => continue,
                    Err(end) => (end, command.has_data),
                },
                Err(end) => (end, false),
            };
            let why = match end {
                End::Gone | End::Aborted | End::Stopped => in_a_film.then_some(What::Cut),
                End::Idle => Some(What::Idle),
                End::Slow => Some(What::Slow),
                End::Malformed => Some(What::Foreign),
                End::TooMuch => Some(What::TooLarge),
                End::Released | End::Unheard => None,
            };
            return (end, why);
        }
    }

    /// The next part in the middle of a message: nothing is released there, and whoever says nothing is slow.
    pub(crate) fn next_within(&mut self, until: Instant) -> Result<PDataValue, End> {
        self.next(until).map_err(|end| match end {
            End::Released => End::Malformed,
            End::Idle => End::Slow,
            other => other,
        })
    }

    /// The next part of a message.
    fn next(&mut self, until: Instant) -> Result<PDataValue, End> {
        if let Some(part) = self.parts.pop_front() {
            return Ok(part);
        }
        match self.line.read(until)? {
            Pdu::PData { data } => {
                self.parts.extend(data);
                self.parts.pop_front().ok_or(End::Malformed)
            }
            Pdu::ReleaseRQ => Err(End::Released),
            Pdu::AbortRQ { .. } => Err(End::Aborted),
            _ => Err(End::Malformed),
        }
    }

    /// The next command, and the kind of image for which it is.
    fn command(&mut self, idle: Duration) -> Result<(Context, Command), End> {
        let mut part = self.next(Instant::now() + idle)?;
        self.asked = true;
        let (id, until) = (part.presentation_context_id, Instant::now() + COMMAND);
        let context = *self.contexts.iter().find(|context| context.id == id).ok_or(End::Malformed)?;
        let mut bytes = Vec::new();
        loop {
            bytes.extend_from_slice(&part.data);
            let is_of_it = part.value_type == PDataValueType::Command && part.presentation_context_id == id;
            if !is_of_it || bytes.len() > MAX_COMMAND {
                return Err(End::Malformed);
            }
            if part.is_last {
                break;
            }
            part = self.next_within(until)?;
        }
        let command = Command::read(&bytes).filter(|command| !command.is_answer()).ok_or(End::Malformed)?;
        Ok((context, command))
    }

    fn obey(&mut self, desk: &Desk<'_>, context: Context, command: &Command) -> Result<(), End> {
        let status = match command.asked() {
            Asked::Cancel => return Ok(()),
            Asked::Store if command.has_data => return self.store(desk, context, command),
            Asked::Store => Status::NotUnderstood,
            Asked::Echo => {
                self.echoes += 1;
                Status::Success
            }
            Asked::Other => Status::Unknown,
        };
        if command.has_data {
            DataSet::new(self, context.id, *desk.limits).finish()?;
        }
        self.answer(desk, context, command, status)
    }

    /// Takes a film. It is answered when it was taken, and not before.
    fn store(&mut self, desk: &Desk<'_>, context: Context, command: &Command) -> Result<(), End> {
        let mut data = DataSet::new(self, context.id, *desk.limits);
        let taken = take(desk, &mut data, context, command);
        data.finish()?;
        let status = match taken {
            Ok(taken @ (Taken::Kept | Taken::Duplicate)) => {
                self.films += 1;
                self.known += u64::from(taken == Taken::Duplicate);
                Status::Success
            }
            Ok(Taken::NoRoom(why)) => Status::NoRoom(why),
            Ok(Taken::TooLarge) => Status::TooLarge,
            // Nobody is told: the association has ended.
            Ok(Taken::Cut) => Status::NotUnderstood,
            Err(status) => status,
        };
        self.answer(desk, context, command, status)
    }

    fn answer(&mut self, desk: &Desk<'_>, context: Context, command: &Command, status: Status) -> Result<(), End> {
        if let Some(what) = status.noted() {
            desk.note(what);
        }
        let bytes = command.answer(status);
        // Parts have even lengths.
        let mut parts = bytes.chunks((self.max_pdu.saturating_sub(PART_HEAD) & !1).max(2)).peekable();
        while let Some(part) = parts.next() {
            let (value_type, data) = (PDataValueType::Command, part.to_vec());
            let is_last = parts.peek().is_none();
            let value = PDataValue { presentation_context_id: context.id, value_type, is_last, data };
            self.line.write(&Pdu::PData { data: vec![value] })?;
        }
        Ok(())
    }

    /// Notes what was done.
    fn note_done(&self, desk: &Desk<'_>, calling: &str) {
        if self.films > 0 {
            desk.note(Event::taken(calling, self.films, self.known));
        } else if self.echoes > 0 {
            desk.note(Event::new(What::Echo, [calling.to_owned()]));
        }
    }
}

/// Hands a film on, or says why it is none. What breaks off is not kept; `data` knows of that.
fn take(desk: &Desk<'_>, data: &mut DataSet<'_, '_>, context: Context, command: &Command) -> Result<Taken, Status> {
    if command.class != context.class || !IMAGES.contains(&context.class) {
        return Err(Status::NotSupported);
    }
    if command.instance.is_empty() {
        return Err(Status::NoInstance);
    }
    let beginning = data.beginning().map_err(|_| Status::NotUnderstood)?;
    let identity = decode::identity(beginning, context.syntax).map_err(|_| Status::NotUnderstood)?;
    let is_other = |said: Option<String>, expected: &str| said.is_some_and(|said| said != expected);
    if is_other(identity.class, context.class) || is_other(identity.instance, &command.instance) {
        return Err(Status::Other);
    }
    let head = head(&context, &command.instance);
    Ok(desk.films.take(Film { peer: desk.peer, bytes: &mut head.as_slice().chain(data) }))
}
