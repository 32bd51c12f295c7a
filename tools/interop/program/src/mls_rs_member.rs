use mls_rs::client_builder::{MlsConfig, PaddingMode};
use mls_rs::extension::ExtensionType;
use mls_rs::extension::recommended::LastResortKeyPackageExt;
use mls_rs::group::proposal::ProposalType;
use mls_rs::group::{CommitEffect, ReceivedMessage};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::BasicCredential;
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions};
use mls_rs::{CipherSuite, CipherSuiteProvider, Client, CryptoProvider, Extension, ExtensionList, Group, MlsMessage};
use mls_rs_crypto_openssl::OpensslCryptoProvider;

use crate::device_identity::DeviceIdentityProvider;
use crate::member::{Answer, Bundle, Bytes, Change, Leaf, Member, New, Propose, Result, State};

/// Values that no program knows (RFC 9420 §13.5), for the capabilities. The feature `grease` of mls-rs also puts an extension
/// into each KeyPackage that its leaf does not list, and OpenMLS refuses such a KeyPackage.
const GREASE: [u16; 2] = [0x1A1A, 0xCACA];

struct MlsRsMember<C: MlsConfig> {
    client: Client<C>,
    public_key: Vec<u8>,
    group: Option<Group<C>>,
}

pub fn new(new: &New) -> Result<Box<dyn Member>> {
    let crypto = OpensslCryptoProvider::default();
    let suite = CipherSuite::from(new.cipher_suite);
    let provider = crypto.cipher_suite_provider(suite).ok_or("mls-rs has no such cipher suite")?;
    let (secret, public) = provider.signature_key_generate()?;
    let credential = BasicCredential::new(new.user.as_bytes().to_vec());
    let public_key = public.as_bytes().to_vec();
    let identity = SigningIdentity::new(credential.into_credential(), public);
    let padding = if new.padding.as_deref() == Some("none") { PaddingMode::None } else { PaddingMode::default() };
    let rules = DefaultMlsRules::new()
        .with_commit_options(CommitOptions::new().with_path_required(true).with_allow_external_commit(true))
        .with_encryption_options(EncryptionOptions::new(!new.public, padding));
    let client = Client::builder()
        .identity_provider(DeviceIdentityProvider::default())
        .crypto_provider(crypto)
        .mls_rules(rules)
        .extension_type(ExtensionType::LAST_RESORT_KEY_PACKAGE)
        .extension_types(grease(new).map(ExtensionType::new))
        .custom_proposal_type(ProposalType::SELF_REMOVE)
        .custom_proposal_types(grease(new).map(ProposalType::new))
        .signing_identity(identity, secret, suite)
        .build();
    Ok(Box::new(MlsRsMember { client, public_key, group: None }))
}

fn grease(new: &New) -> impl Iterator<Item = u16> {
    GREASE.into_iter().take(if new.grease { GREASE.len() } else { 0 })
}

impl<C: MlsConfig> MlsRsMember<C> {
    fn group(&mut self) -> Result<&mut Group<C>> {
        self.group.as_mut().ok_or_else(|| "not in a group".into())
    }
}

impl<C: MlsConfig> Member for MlsRsMember<C> {
    fn key_package(&mut self, last_resort: bool) -> Result<Vec<u8>> {
        let mut extensions = ExtensionList::default();
        if last_resort {
            extensions.set_from(LastResortKeyPackageExt)?;
        }
        let package = self.client.generate_key_package_message(extensions, ExtensionList::default(), None)?;
        Ok(package.to_bytes()?)
    }

    fn create(&mut self, group: &[u8], external_senders: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let mut builder = self.client.group_builder()?.with_group_id(group.to_vec());
        if let Some(senders) = external_senders {
            builder = builder.with_group_context_extension(Extension::new(ExtensionType::EXTERNAL_SENDERS, senders));
        }
        self.group = Some(builder.build()?);
        self.group_info()
    }

    fn commit(&mut self, change: &Change) -> Result<Bundle> {
        let group = self.group()?;
        if change.without_pending {
            group.clear_proposal_cache();
        }
        let mut builder = group.commit_builder();
        for package in &change.add {
            builder = builder.add_member(MlsMessage::from_bytes(&package.0)?)?;
        }
        for leaf in &change.remove {
            builder = builder.remove_member(*leaf)?;
        }
        let output = builder.build()?;
        Ok(Bundle {
            commit: output.commit_message.to_bytes()?,
            welcome: output.welcome_messages.first().map(MlsMessage::to_bytes).transpose()?,
            group_info: output.external_commit_group_info.ok_or("no GroupInfo")?.to_bytes()?,
        })
    }

    fn confirm(&mut self) -> Result<()> {
        self.group()?.apply_pending_commit()?;
        Ok(())
    }

    fn discard(&mut self) -> Result<()> {
        self.group()?.clear_pending_commit();
        Ok(())
    }

    fn propose(&mut self, proposal: &Propose) -> Result<Vec<u8>> {
        let group = self.group()?;
        let message = match proposal {
            Propose::Add { key_package } => group.propose_add(MlsMessage::from_bytes(&key_package.0)?, vec![])?,
            Propose::Remove { leaf } => group.propose_remove(*leaf, vec![])?,
            Propose::Update => group.propose_update(vec![])?,
            Propose::Leave => group.propose_remove(group.current_member_index(), vec![])?,
            Propose::SelfRemove => group.propose_self_remove(vec![])?,
        };
        Ok(message.to_bytes()?)
    }

    fn process(&mut self, message: &[u8]) -> Result<Answer> {
        match self.group()?.process_incoming_message(MlsMessage::from_bytes(message)?)? {
            ReceivedMessage::ApplicationMessage(message) => Answer::application(message.data().to_vec()),
            ReceivedMessage::Proposal(_) => Ok(Answer::kind("proposal")),
            ReceivedMessage::Commit(commit) => {
                Ok(Answer::kind(if matches!(commit.effect, CommitEffect::Removed { .. }) {
                    "removed"
                } else {
                    "commit"
                }))
            }
            _ => Err("not a message of a group".into()),
        }
    }

    fn send(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        Ok(self.group()?.encrypt_application_message(plaintext, vec![])?.to_bytes()?)
    }

    fn join(&mut self, welcome: &[u8]) -> Result<()> {
        let (group, _) = self.client.join_group(None, &MlsMessage::from_bytes(welcome)?, None)?;
        self.group = Some(group);
        Ok(())
    }

    fn join_externally(&mut self, group_info: &[u8], self_removes: &[Vec<u8>]) -> Result<Bundle> {
        let info = MlsMessage::from_bytes(group_info)?;
        let mut builder = self.client.external_commit_builder()?;
        if let Some(leaf) = self.own_leaf_in(&info)? {
            builder = builder.with_removal(leaf);
        }
        for proposal in self_removes {
            builder = builder.with_received_custom_proposal(MlsMessage::from_bytes(proposal)?);
        }
        let (group, commit) = builder.build(info)?;
        self.group = Some(group);
        Ok(Bundle { commit: commit.to_bytes()?, welcome: None, group_info: self.group_info()? })
    }

    /// mls-rs demands a GroupInfo, of which the proposal has only the group id and the epoch. Under `externalJoin: request`
    /// outsiders get no GroupInfo, so here is one of an empty group with the same id and epoch.
    fn ask_to_join(&mut self, group: &[u8], epoch: u64) -> Result<Vec<u8>> {
        let stand_in = self.client.group_builder()?.with_group_id(group.to_vec()).with_start_epoch(epoch).build()?;
        let info = stand_in.group_info_message(true)?;
        let (package, leaf) = (ExtensionList::default(), ExtensionList::default());
        Ok(self.client.external_add_proposal(&info, None, vec![], package, leaf, None)?.to_bytes()?)
    }

    fn group_info(&mut self) -> Result<Vec<u8>> {
        Ok(self.group()?.group_info_message_allowing_ext_commit(true)?.to_bytes()?)
    }

    fn state(&self) -> Result<State> {
        let group = self.group.as_ref().ok_or("not in a group")?;
        let leaves = group
            .roster()
            .members_iter()
            .map(|member| {
                let identity = &member.signing_identity;
                let credential = identity.credential.as_basic().ok_or("not a basic credential")?;
                Ok(Leaf {
                    index: member.index,
                    user: String::from_utf8(credential.identifier.clone())?,
                    signature_key: Bytes(identity.signature_key.as_bytes().to_vec()),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(State {
            epoch: group.current_epoch(),
            authenticator: Bytes(group.epoch_authenticator()?.as_bytes().to_vec()),
            leaves,
            own_leaf: group.current_member_index(),
            pending: group.get_cached_proposals().len(),
        })
    }
}

impl<C: MlsConfig> MlsRsMember<C> {
    /// The leaf of this device in a group, which its external commit must remove.
    fn own_leaf_in(&self, group_info: &MlsMessage) -> Result<Option<u32>> {
        let info = group_info.as_group_info().ok_or("not a GroupInfo")?;
        let tree = info
            .extensions()
            .get_as::<mls_rs::extension::built_in::RatchetTreeExt>()?
            .ok_or("the GroupInfo has no ratchet tree")?;
        let found = tree
            .tree_data
            .roster()
            .members_iter()
            .find(|member| member.signing_identity.signature_key.as_bytes() == self.public_key)
            .map(|member| member.index);
        Ok(found)
    }
}
