/** Who may invite a user: everybody, those who share a conversation with it, or nobody. Others have to ask first. */
export const CONSENT_MODES = ['anyone', 'contacts', 'nobody'] as const;
export type ConsentMode = (typeof CONSENT_MODES)[number];
