export { type AesGcm, type AesGcmOptions, type AesKey, aesGcm } from './aes-gcm.ts'
export type { Binding, Bytes, Cipher } from './cipher.ts'
export { type EndToEndOptions, endToEnd } from './end-to-end.ts'
