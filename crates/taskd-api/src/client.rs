//! A client of one daemon.
//!
//! It asks and passes on answers. It does not start a daemon, retry a call, or keep what it heard.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use taskd_model::{DecodeError, Record, Trace, Via, View};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{
    ApiError, Place, Watch, codes,
    error::innermost,
    v1::{self, taskd_client::TaskdClient},
};

/// Header in which every answer names the daemon's version.
pub const VERSION_HEADER: &str = "taskd-version";

/// Header with a key of the client's own choice: a call that changes something is made once under it,
/// and answered as often as it is asked for.
pub const IDEMPOTENCY_HEADER: &str = "taskd-idempotency-key";

/// Header in which a client says where it is used: a [`Via`].
pub const VIA_HEADER: &str = "taskd-via";

/// Header with the span that led to a call, as W3C Trace Context has it: what is submitted belongs to
/// that trace.
pub const TRACE_HEADER: &str = "traceparent";

/// How long a daemon may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What may be on its way to us at once: the view of a thousand loops, without a wait in between.
const WINDOW_BYTES: u32 = 1 << 20;

/// Largest message: a view grows with the number of plans.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection to a daemon. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    inner: TaskdClient<Channel>,
    place: Place,
    version: Arc<OnceLock<String>>,
    via: Option<Via>,
    key: Option<MetadataValue<Ascii>>,
    trace: Option<String>,
}

/// Declares one method for each call with one answer.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident: $request:ident => $response:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// The daemon refuses, or does not answer.
        pub async fn $name(&self, request: v1::$request) -> Result<v1::$response, ApiError> {
            let answer = self.inner.clone().$name(self.asked(request)).await;
            self.taken(answer)
        }
    )*};
}

impl Client {
    /// Connects to the daemon of a place: a socket, or an address of the network.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or not in time.
    pub async fn connect(place: impl Into<Place>) -> Result<Self, ApiError> {
        let place = place.into();
        let fail = |why: &str| ApiError::unreachable(&format!("{place}: {why}"));
        let endpoint = Endpoint::from_shared(place.uri().map_err(|it| fail(&it))?);
        let mut endpoint = endpoint
            .map_err(|it| fail(&innermost(&it)))?
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        if let Some(tls) = place.tls() {
            endpoint = endpoint.tls_config(tls).map_err(|it| fail(&innermost(&it)))?;
        }
        let channel = match tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(fail(&innermost(&error))),
            Err(_) => return Err(fail("it does not accept in time")),
        };
        let inner = TaskdClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { inner, place, version: Arc::default(), via: None, key: None, trace: None })
    }

    /// The same client, which says where it is used: who answers something is told with it.
    #[must_use]
    pub fn via(self, via: Via) -> Self {
        Self { via: Some(via), ..self }
    }

    /// The same client for one call that changes something: made again under the same key it is not
    /// done again, and answered as before, as long as the daemon runs.
    ///
    /// # Errors
    ///
    /// The key is no line of ASCII.
    pub fn once(self, key: &str) -> Result<Self, ApiError> {
        let wrong = |_| ApiError::new(codes::INVALID, "a key of a call is a line of ASCII");
        Ok(Self { key: Some(key.parse().map_err(wrong)?), ..self })
    }

    /// The same client, whose calls belong to this trace; what is no `traceparent` is not sent.
    #[must_use]
    pub fn traced(self, parent: Option<String>) -> Self {
        Self { trace: parent.filter(|it| Trace::of_parent(it).is_some()), ..self }
    }

    fn asked<T>(&self, request: T) -> Request<T> {
        let mut request = Request::new(request);
        if let Some(trace) = self.trace.as_ref().and_then(|it| it.trim().parse().ok()) {
            request.metadata_mut().insert(TRACE_HEADER, trace);
        }
        if let Some(via) = self.via {
            let word = via.word().parse().expect("a word is ASCII");
            request.metadata_mut().insert(VIA_HEADER, word);
        }
        if let Some(key) = &self.key {
            request.metadata_mut().insert(IDEMPOTENCY_HEADER, key.clone());
        }
        if let Some(token) = self.place.token() {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    unary! {
        /// Submits a plan or a request.
        submit: SubmitRequest => SubmitResponse;
        /// Acts on loops, plans, projects or the daemon.
        act: ActRequest => ActResponse;
        /// The first prompt of what would be submitted.
        render_prompt: RenderPromptRequest => RenderPromptResponse;
        /// What the view does not hold about a loop or plan.
        show: ShowRequest => ShowResponse;
        /// Why something does not go on.
        why: WhyRequest => WhyResponse;
        /// Who waits for what.
        queue: QueueRequest => QueueResponse;
        /// Figures of the daemon.
        metrics: MetricsRequest => MetricsResponse;
        /// The work of a loop as a patch.
        diff: DiffRequest => DiffResponse;
        /// The saved states of a loop's work.
        checkpoints: CheckpointsRequest => CheckpointsResponse;
        /// Sends a loop back to one of them.
        rewind: RewindRequest => RewindResponse;
        /// Takes landed work off its target again.
        undo: UndoRequest => UndoResponse;
        /// What is kept of work that was replaced.
        salvage: SalvageRequest => SalvageResponse;
        /// Writes some of it into an empty directory.
        restore: RestoreRequest => RestoreResponse;
        /// Whose a line is.
        blame: BlameRequest => BlameResponse;
        /// Where a loop's worktree is.
        path: PathRequest => PathResponse;
        /// Takes away what is not needed any more, or says what would go.
        gc: GcRequest => GcResponse;
        /// Lists, adds or forgets repositories.
        projects: ProjectsRequest => ProjectsResponse;
        /// Facts about the daemon.
        status: StatusRequest => StatusResponse;
        /// Providers, models and prices.
        models: ModelsRequest => ModelsResponse;
        /// Checks of the surroundings.
        doctor: DoctorRequest => DoctorResponse;
        /// Reads the configuration again.
        reload: ReloadRequest => ReloadResponse;
        /// Ends the daemon.
        shutdown: ShutdownRequest => ShutdownResponse;
    }

    /// The providers the daemon knows; none if it is too old to tell.
    ///
    /// # Errors
    ///
    /// The daemon does not answer.
    pub async fn providers(&self) -> Result<Vec<v1::ProviderRow>, ApiError> {
        match self.models(v1::ModelsRequest::default()).await {
            Ok(answer) => Ok(answer.providers),
            Err(error) if error.code == codes::SKEW => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The view as it is now, of one project or of all.
    ///
    /// # Errors
    ///
    /// The daemon refuses, does not answer, or says what this build cannot read.
    pub async fn view(&self, scope: &str) -> Result<View, ApiError> {
        let request = v1::GetViewRequest { scope: scope.to_owned(), at: None };
        let answer = self.inner.clone().get_view(self.asked(request)).await;
        Ok(self.taken(answer)?.try_into()?)
    }

    /// The view as it was at a moment.
    ///
    /// # Errors
    ///
    /// The log does not reach back so far, or is not so long; the daemon does not answer, is too old
    /// to look back, or says what this build cannot read.
    pub async fn view_at(&self, scope: &str, at: v1::Moment) -> Result<View, ApiError> {
        let request = v1::GetViewRequest { scope: scope.to_owned(), at: Some(at) };
        let answer = self.inner.clone().get_view(self.asked(request)).await;
        let view: View = self.taken(answer)?.try_into()?;
        let is_then = match at.at {
            Some(v1::moment::At::Seq(seq)) => view.seq.0 == seq,
            Some(v1::moment::At::Time(time)) => view.at.0 <= time,
            None => false,
        };
        // One that does not know the field answers with what is.
        is_then.then_some(view).ok_or_else(|| {
            ApiError::new(codes::SKEW, "the daemon is too old to say what was")
                .hint("taskd daemon restart")
        })
    }

    /// Stored events, oldest first.
    ///
    /// # Errors
    ///
    /// The daemon refuses, or does not answer.
    pub async fn events(&self, request: v1::EventsRequest) -> Result<Items<v1::Event>, ApiError> {
        let answer = self.inner.clone().events(self.asked(request)).await;
        Ok(Items(self.taken(answer)?))
    }

    /// The steps of a proof of what landed.
    ///
    /// # Errors
    ///
    /// The daemon refuses, or does not answer.
    pub async fn verify(
        &self,
        request: v1::VerifyRequest,
    ) -> Result<Items<v1::VerifyStep>, ApiError> {
        let answer = self.inner.clone().verify(self.asked(request)).await;
        Ok(Items(self.taken(answer)?))
    }

    /// Output of gates, agents and tools.
    ///
    /// # Errors
    ///
    /// The daemon refuses, or does not answer.
    pub async fn logs(&self, request: v1::LogsRequest) -> Result<Items<v1::LogChunk>, ApiError> {
        let answer = self.inner.clone().logs(self.asked(request)).await;
        Ok(Items(self.taken(answer)?))
    }

    /// The view, then everything after it, across losses of the connection. `ids` narrows it down,
    /// `deltas` adds what is not stored.
    #[must_use]
    pub fn watch(&self, ids: Vec<String>, deltas: bool) -> Watch {
        Watch::new(self.place.clone(), ids, deltas)
    }

    /// One watch call, without going on after a loss.
    pub(crate) async fn watch_once(
        &self,
        request: v1::WatchRequest,
    ) -> Result<Streaming<v1::WatchItem>, ApiError> {
        let answer = self.inner.clone().watch(self.asked(request)).await;
        self.taken(answer)
    }

    /// Where the daemon is that it talks to.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The daemon's version, once it answered anything.
    #[must_use]
    pub fn server_version(&self) -> Option<&str> {
        self.version.get().map(String::as_str)
    }

    /// One sentence if the daemon is of another version than this client.
    #[must_use]
    pub fn skew(&self) -> Option<String> {
        let (ours, theirs) = (env!("CARGO_PKG_VERSION"), self.server_version()?);
        (ours != theirs).then(|| {
            format!("the daemon is taskd {theirs}, this is {ours}; `taskd daemon restart` mends it")
        })
    }

    /// Unpacks an answer and notes who gave it.
    fn taken<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, ApiError> {
        let answer = answer?;
        let version = answer.metadata().get(VERSION_HEADER).and_then(|it| it.to_str().ok());
        if let Some(version) = version {
            self.version.get_or_init(|| version.to_owned());
        }
        Ok(answer.into_inner())
    }
}

/// The variables that providers name, as far as `variable` finds them set: keys, and places.
pub fn handed_over(
    providers: &[v1::ProviderRow],
    variable: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let names = providers.iter().flat_map(|it| [&it.key_variable, &it.url_variable]);
    let set = |it: &String| variable(it).filter(|it| !it.trim().is_empty());
    names.filter(|it| !it.is_empty()).filter_map(|it| Some((it.clone(), set(it)?))).collect()
}

/// What a call streams.
#[derive(Debug)]
pub struct Items<T>(Streaming<T>);

impl<T> Items<T> {
    /// The next one; `None` at the end.
    ///
    /// # Errors
    ///
    /// The connection broke, or the daemon gave up.
    pub async fn next(&mut self) -> Result<Option<T>, ApiError> {
        Ok(self.0.message().await?)
    }
}

/// One text of a log: what an effect said, or what was sent for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Which effect; 0 if the daemon does not say.
    pub effect: u64,
    /// `iteration 2, gate`.
    pub heading: String,
    /// What it says; what is no UTF-8 is replaced.
    pub text: String,
}

impl Items<v1::LogChunk> {
    /// All texts of a log, each whole.
    ///
    /// # Errors
    ///
    /// The connection broke, or the daemon gave up.
    pub async fn outputs(mut self) -> Result<Vec<Output>, ApiError> {
        // Bytes until a text is whole: a chunk may end within a character.
        let mut found: Vec<(u64, String, Vec<u8>)> = Vec::new();
        while let Some(chunk) = self.next().await? {
            match found.last_mut() {
                Some((_, _, bytes)) if chunk.heading.is_empty() => bytes.extend(chunk.data),
                Some(_) | None => found.push((chunk.effect, chunk.heading, chunk.data)),
            }
        }
        let output = |(effect, heading, bytes): (u64, String, Vec<u8>)| Output {
            effect,
            heading,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        };
        Ok(found.into_iter().map(output).collect())
    }
}

impl v1::Event {
    /// The event itself; `None` for a kind that a newer daemon knows and this build does not.
    ///
    /// # Errors
    ///
    /// It is not an event at all.
    pub fn record(&self) -> Result<Option<Record>, ApiError> {
        match Record::decode(&self.json) {
            Ok(record) => Ok(Some(record)),
            Err(DecodeError::Unknown { .. }) => Ok(None),
            Err(error @ DecodeError::Malformed { .. }) => {
                Err(ApiError::new(codes::SKEW, error.to_string()))
            }
        }
    }
}
