use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A device in one group, of either library. All messages are MLSMessages (RFC 9420 §6).
pub trait Member {
    fn key_package(&mut self, last_resort: bool) -> Result<Vec<u8>>;
    /// Returns the GroupInfo of the new group. `external_senders` is the content of that extension.
    fn create(&mut self, group: &[u8], external_senders: Option<Vec<u8>>) -> Result<Vec<u8>>;
    /// Commits the change and all pending proposals. The commit counts after `confirm`.
    fn commit(&mut self, change: &Change) -> Result<Bundle>;
    fn confirm(&mut self) -> Result<()>;
    fn discard(&mut self) -> Result<()>;
    fn propose(&mut self, proposal: &Propose) -> Result<Vec<u8>>;
    fn process(&mut self, message: &[u8]) -> Result<Answer>;
    fn send(&mut self, plaintext: &[u8]) -> Result<Vec<u8>>;
    fn join(&mut self, welcome: &[u8]) -> Result<()>;
    /// Joins by an external commit, which replaces a leaf with the own signature key.
    fn join_externally(&mut self, group_info: &[u8], self_removes: &[Vec<u8>]) -> Result<Bundle>;
    /// A new_member_proposal (RFC 9420 §12.1.8).
    fn ask_to_join(&mut self, group: &[u8], epoch: u64) -> Result<Vec<u8>>;
    fn group_info(&mut self) -> Result<Vec<u8>>;
    fn state(&self) -> Result<State>;
}

/// Bytes that travel as base64.
#[derive(Clone)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes).map_err(serde::de::Error::custom)
    }
}

/// A new device.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct New {
    pub member: String,
    /// `openmls` or `mls-rs`.
    pub library: String,
    pub user: String,
    pub cipher_suite: u16,
    /// Sends commits and proposals as PublicMessage.
    #[serde(default)]
    pub public: bool,
    /// Adds values that no program knows to its KeyPackages (RFC 9420 §13.5).
    #[serde(default)]
    pub grease: bool,
    /// `none` (no padding), or the library's own choice.
    #[serde(default)]
    pub padding: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Change {
    /// KeyPackages of new devices.
    pub add: Vec<Bytes>,
    /// Leaf indexes.
    pub remove: Vec<u32>,
    /// Leaves out the pending proposals.
    pub without_pending: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Propose {
    #[serde(rename_all = "camelCase")]
    Add {
        key_package: Bytes,
    },
    Remove {
        leaf: u32,
    },
    Update,
    /// A Remove of the own leaf.
    Leave,
    /// Type 0x000A of OpenMLS, 0xF003 of mls-rs.
    SelfRemove,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "op")]
pub enum Request {
    New(New),
    KeyPackage {
        member: String,
        #[serde(default)]
        last_resort: bool,
    },
    Create {
        member: String,
        group: Bytes,
        external_senders: Option<Bytes>,
    },
    Commit {
        member: String,
        #[serde(default)]
        change: Change,
    },
    Confirm {
        member: String,
    },
    Discard {
        member: String,
    },
    Propose {
        member: String,
        proposal: Propose,
    },
    Process {
        member: String,
        message: Bytes,
    },
    Send {
        member: String,
        text: String,
    },
    Join {
        member: String,
        welcome: Bytes,
    },
    JoinExternally {
        member: String,
        group_info: Bytes,
        #[serde(default)]
        self_removes: Vec<Bytes>,
    },
    AskToJoin {
        member: String,
        group: Bytes,
        epoch: u64,
    },
    GroupInfo {
        member: String,
    },
    State {
        member: String,
    },
}

impl Request {
    pub fn member(&self) -> &str {
        match self {
            Request::New(new) => &new.member,
            Request::KeyPackage { member, .. }
            | Request::Create { member, .. }
            | Request::Commit { member, .. }
            | Request::Confirm { member }
            | Request::Discard { member }
            | Request::Propose { member, .. }
            | Request::Process { member, .. }
            | Request::Send { member, .. }
            | Request::Join { member, .. }
            | Request::JoinExternally { member, .. }
            | Request::AskToJoin { member, .. }
            | Request::GroupInfo { member }
            | Request::State { member } => member,
        }
    }
}

/// A commit, and the GroupInfo of the epoch that it starts.
pub struct Bundle {
    pub commit: Vec<u8>,
    pub welcome: Option<Vec<u8>>,
    pub group_info: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub epoch: u64,
    pub authenticator: Bytes,
    /// Leaf index, user and signature key of each leaf.
    pub leaves: Vec<Leaf>,
    pub own_leaf: u32,
    pub pending: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaf {
    pub index: u32,
    pub user: String,
    pub signature_key: Bytes,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    welcome: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_info: Option<Bytes>,
    /// `application`, `proposal`, `commit` or `removed` (a commit that removed this member).
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

impl Answer {
    pub fn failed(error: String) -> Self {
        Answer { error: Some(error), ..Answer::default() }
    }

    pub fn bytes(bytes: Vec<u8>) -> Self {
        Answer { bytes: Some(Bytes(bytes)), ..Answer::default() }
    }

    pub fn bundle(bundle: Bundle) -> Self {
        Answer {
            commit: Some(Bytes(bundle.commit)),
            welcome: bundle.welcome.map(Bytes),
            group_info: Some(Bytes(bundle.group_info)),
            ..Answer::default()
        }
    }

    pub fn state(state: State) -> Self {
        Answer { state: Some(state), ..Answer::default() }
    }

    pub fn kind(kind: &'static str) -> Self {
        Answer { kind: Some(kind), ..Answer::default() }
    }

    pub fn application(plaintext: Vec<u8>) -> Result<Self> {
        Ok(Answer { kind: Some("application"), text: Some(String::from_utf8(plaintext)?), ..Answer::default() })
    }
}
