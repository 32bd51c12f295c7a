use openmls::group::{
    MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig, StagedWelcome,
};
use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, Extension, ExtensionType, Extensions,
    ExternalSender, GroupId, JoinProposal, KeyPackage, LeafNodeIndex, LeafNodeParameters, MlsMessageBodyIn,
    MlsMessageIn, MlsMessageOut, OpenMlsProvider, ProcessedMessageContent, ProposalType, ProtocolVersion,
    PublicMessageIn, SenderRatchetConfiguration,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::{MemoryStorage, OpenMlsRustCrypto};

use crate::member::{Answer, Bundle, Bytes, Change, Leaf, Member, New, Propose, Result, State};

/// Messages of one sender that may be missing or come late. The default of OpenMLS is 5 and 1000.
const OUT_OF_ORDER: u32 = 100;
/// Epochs for which a member keeps the keys of messages: the service takes messages of two past epochs.
const PAST_EPOCHS: usize = 4;
/// OpenMLS pads to a multiple of this many bytes. Its default is 0.
const PADDING: usize = 64;

pub struct OpenMlsMember {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
    suite: Ciphersuite,
    capabilities: Capabilities,
    config: MlsGroupJoinConfig,
    group: Option<MlsGroup>,
}

impl OpenMlsMember {
    pub fn new(new: &New) -> Result<Self> {
        let provider = OpenMlsRustCrypto::default();
        let suite = Ciphersuite::try_from(new.cipher_suite)?;
        let signer = SignatureKeyPair::new(suite.signature_algorithm()).map_err(|error| format!("{error:?}"))?;
        let credential = CredentialWithKey {
            credential: BasicCredential::new(new.user.as_bytes().to_vec()).into(),
            signature_key: signer.to_public_vec().into(),
        };
        let capabilities = Capabilities::builder()
            .extensions(vec![ExtensionType::LastResort])
            .proposals(vec![ProposalType::SelfRemove]);
        let capabilities = if new.grease { capabilities.with_grease(provider.rand()) } else { capabilities }.build();
        let policy = if new.public { MIXED_PLAINTEXT_WIRE_FORMAT_POLICY } else { MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(policy)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, 1000))
            .max_past_epochs(PAST_EPOCHS)
            .padding_size(if new.padding.as_deref() == Some("none") { 0 } else { PADDING })
            .build();
        Ok(OpenMlsMember { provider, signer, credential, suite, capabilities, config, group: None })
    }

    fn new_key_package(&self, last_resort: bool) -> Result<KeyPackage> {
        let builder = KeyPackage::builder().leaf_node_capabilities(self.capabilities.clone());
        let builder = if last_resort { builder.mark_as_last_resort() } else { builder };
        let bundle = builder.build(self.suite, &self.provider, &self.signer, self.credential.clone())?;
        Ok(bundle.into_key_package())
    }

    fn read_key_package(&self, bytes: &Bytes) -> Result<KeyPackage> {
        match body(&bytes.0)? {
            MlsMessageBodyIn::KeyPackage(package) => {
                Ok(package.validate(self.provider.crypto(), ProtocolVersion::Mls10)?)
            }
            _ => Err("not a KeyPackage".into()),
        }
    }

    fn export_group_info(&self) -> Result<Vec<u8>> {
        let group = self.group.as_ref().ok_or("not in a group")?;
        Ok(group.export_group_info(self.provider.crypto(), &self.signer, true)?.to_bytes()?)
    }

    /// Drops the state of a group that this device was in before.
    fn forget(&mut self) -> Result<()> {
        if let Some(mut group) = self.group.take() {
            group.delete(self.provider.storage())?;
        }
        Ok(())
    }
}

impl Member for OpenMlsMember {
    fn key_package(&mut self, last_resort: bool) -> Result<Vec<u8>> {
        Ok(MlsMessageOut::from(self.new_key_package(last_resort)?).to_bytes()?)
    }

    fn create(&mut self, group: &[u8], external_senders: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let mut config = MlsGroupCreateConfig::builder()
            .ciphersuite(self.suite)
            .capabilities(self.capabilities.clone())
            .wire_format_policy(self.config.wire_format_policy())
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(self.config.sender_ratchet_configuration().clone())
            .max_past_epochs(PAST_EPOCHS)
            .padding_size(self.config.padding_size());
        if let Some(bytes) = external_senders {
            let senders = Vec::<ExternalSender>::tls_deserialize_exact(bytes)?;
            config = config.with_group_context_extensions(Extensions::single(Extension::ExternalSenders(senders))?);
        }
        let id = GroupId::from_slice(group);
        let made =
            MlsGroup::new_with_group_id(&self.provider, &self.signer, &config.build(), id, self.credential.clone())?;
        self.group = Some(made);
        self.export_group_info()
    }

    fn commit(&mut self, change: &Change) -> Result<Bundle> {
        let adds = change.add.iter().map(|package| self.read_key_package(package)).collect::<Result<Vec<_>>>()?;
        let OpenMlsMember { provider, signer, group, .. } = self;
        let group = group.as_mut().ok_or("not in a group")?;
        let bundle = group
            .commit_builder()
            .consume_proposal_store(!change.without_pending)
            .force_self_update(true)
            .propose_adds(adds)
            .propose_removals(change.remove.iter().map(|leaf| LeafNodeIndex::new(*leaf)))
            .load_psks(provider.storage())?
            .use_ratchet_tree_extension(true)
            .build(provider.rand(), provider.crypto(), signer, |_| true)?
            .stage_commit(provider)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        Ok(Bundle {
            commit: commit.to_bytes()?,
            welcome: welcome.map(|message| message.to_bytes()).transpose()?,
            group_info: group_info.ok_or("no GroupInfo")?.to_bytes()?,
        })
    }

    fn confirm(&mut self) -> Result<()> {
        let OpenMlsMember { provider, group, .. } = self;
        Ok(group.as_mut().ok_or("not in a group")?.merge_pending_commit(provider)?)
    }

    fn discard(&mut self) -> Result<()> {
        let OpenMlsMember { provider, group, .. } = self;
        Ok(group.as_mut().ok_or("not in a group")?.clear_pending_commit(provider.storage())?)
    }

    fn propose(&mut self, proposal: &Propose) -> Result<Vec<u8>> {
        let key_package = match proposal {
            Propose::Add { key_package } => Some(self.read_key_package(key_package)?),
            _ => None,
        };
        let OpenMlsMember { provider, signer, group, .. } = self;
        let group = group.as_mut().ok_or("not in a group")?;
        let message = match proposal {
            Propose::Add { .. } => group.propose_add_member(provider, signer, &key_package.ok_or("no KeyPackage")?)?.0,
            Propose::Remove { leaf } => group.propose_remove_member(provider, signer, LeafNodeIndex::new(*leaf))?.0,
            Propose::Update => group.propose_self_update(provider, signer, LeafNodeParameters::default())?.0,
            Propose::Leave => group.leave_group(provider, signer)?,
            Propose::SelfRemove => group.leave_group_via_self_remove(provider, signer)?,
        };
        Ok(message.to_bytes()?)
    }

    fn process(&mut self, message: &[u8]) -> Result<Answer> {
        let message = MlsMessageIn::tls_deserialize_exact(message)?.try_into_protocol_message()?;
        let OpenMlsMember { provider, group, .. } = self;
        let group = group.as_mut().ok_or("not in a group")?;
        match group.process_message(provider, message)?.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => Answer::application(message.into_bytes()),
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                group.store_pending_proposal(provider.storage(), *proposal)?;
                Ok(Answer::kind("proposal"))
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                let removed = commit.self_removed();
                group.merge_staged_commit(provider, *commit)?;
                Ok(Answer::kind(if removed { "removed" } else { "commit" }))
            }
            _ => Err("a message of this device itself".into()),
        }
    }

    fn send(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let OpenMlsMember { provider, signer, group, .. } = self;
        let group = group.as_mut().ok_or("not in a group")?;
        Ok(group.create_message(provider, signer, plaintext)?.to_bytes()?)
    }

    fn join(&mut self, welcome: &[u8]) -> Result<()> {
        let MlsMessageBodyIn::Welcome(welcome) = body(welcome)? else { return Err("not a Welcome".into()) };
        self.forget()?;
        let staged = StagedWelcome::new_from_welcome(&self.provider, &self.config, welcome, None)?;
        self.group = Some(staged.into_group(&self.provider)?);
        Ok(())
    }

    fn join_externally(&mut self, group_info: &[u8], self_removes: &[Vec<u8>]) -> Result<Bundle> {
        let MlsMessageBodyIn::GroupInfo(info) = body(group_info)? else { return Err("not a GroupInfo".into()) };
        let proposals = self_removes
            .iter()
            .map(|bytes| match body(bytes)? {
                MlsMessageBodyIn::PublicMessage(message) => Ok(message),
                _ => Err("not a PublicMessage".into()),
            })
            .collect::<Result<Vec<PublicMessageIn>>>()?;
        self.forget()?;
        let parameters = LeafNodeParameters::builder().with_capabilities(self.capabilities.clone()).build();
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(self.config.clone())
            .with_proposals(proposals)
            .build_group(&self.provider, info, self.credential.clone())?
            .leaf_node_parameters(parameters)
            .load_psks(self.provider.storage())?
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)?
            .finalize(&self.provider)?;
        self.group = Some(group);
        Ok(Bundle { commit: bundle.into_commit().to_bytes()?, welcome: None, group_info: self.export_group_info()? })
    }

    fn ask_to_join(&mut self, group: &[u8], epoch: u64) -> Result<Vec<u8>> {
        let package = self.new_key_package(false)?;
        let id = GroupId::from_slice(group);
        Ok(JoinProposal::new::<MemoryStorage>(package, id, epoch.into(), &self.signer)?.to_bytes()?)
    }

    fn group_info(&mut self) -> Result<Vec<u8>> {
        self.export_group_info()
    }

    fn state(&self) -> Result<State> {
        let group = self.group.as_ref().ok_or("not in a group")?;
        let leaves = group
            .members()
            .map(|member| {
                let credential = BasicCredential::try_from(member.credential)?;
                Ok(Leaf {
                    index: member.index.u32(),
                    user: String::from_utf8(credential.identity().to_vec())?,
                    signature_key: Bytes(member.signature_key),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(State {
            epoch: group.epoch().as_u64(),
            authenticator: Bytes(group.epoch_authenticator().as_slice().to_vec()),
            leaves,
            own_leaf: group.own_leaf_index().u32(),
            pending: group.pending_proposals().count(),
        })
    }
}

fn body(bytes: &[u8]) -> Result<MlsMessageBodyIn> {
    Ok(MlsMessageIn::tls_deserialize_exact(bytes)?.extract())
}
