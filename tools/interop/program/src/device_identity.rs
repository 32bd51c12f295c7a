use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicIdentityProvider, BasicIdentityProviderError};
use mls_rs::time::MlsTime;
use mls_rs::{ExtensionList, IdentityProvider};
use mls_rs_core::identity::{CredentialType, MemberValidationContext};

/// Basic credentials of users who have several devices. mls-rs lets a group have each identity once, and its own
/// `BasicIdentityProvider` takes the user for the identity: then a group has one device of each user. Here an identity is
/// a user with a signature key.
#[derive(Clone, Default)]
pub struct DeviceIdentityProvider(BasicIdentityProvider);

impl IdentityProvider for DeviceIdentityProvider {
    type Error = BasicIdentityProviderError;

    fn validate_member(
        &self,
        identity: &SigningIdentity,
        time: Option<MlsTime>,
        context: MemberValidationContext<'_>,
    ) -> Result<(), Self::Error> {
        self.0.validate_member(identity, time, context)
    }

    fn validate_external_sender(
        &self,
        identity: &SigningIdentity,
        time: Option<MlsTime>,
        extensions: Option<&ExtensionList>,
    ) -> Result<(), Self::Error> {
        self.0.validate_external_sender(identity, time, extensions)
    }

    fn identity(&self, identity: &SigningIdentity, extensions: &ExtensionList) -> Result<Vec<u8>, Self::Error> {
        let mut bytes = self.0.identity(identity, extensions)?;
        bytes.extend_from_slice(identity.signature_key.as_bytes());
        Ok(bytes)
    }

    /// The user stays; an Update may bring a new signature key.
    fn valid_successor(
        &self,
        before: &SigningIdentity,
        after: &SigningIdentity,
        extensions: &ExtensionList,
    ) -> Result<bool, Self::Error> {
        self.0.valid_successor(before, after, extensions)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        self.0.supported_types()
    }
}
