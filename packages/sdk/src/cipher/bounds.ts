/** The largest message in UTF-8, with what is sealed besides: in base64 it is a third longer, and fits `messageBytes`. */
export const plainBytes = 196_000

/** Ids of the newest messages that a reader has read, by which it knows a repeat. */
export const replayIds = 4_096

/**
 * Messages that one AES-GCM key may seal, by all who have it: with random 96-bit IVs two are the same with a chance below 2^-32 until then
 * (NIST SP 800-38D, 8.3). Each cipher counts its own.
 */
export const messagesPerKey = 2 ** 32
