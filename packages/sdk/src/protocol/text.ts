const BEYOND_ASCII = /[\u0080-\uffff]/

/** Length of well-formed text in UTF-8, without making the bytes. */
export function utf8Bytes(text: string): number {
  if (!BEYOND_ASCII.test(text)) return text.length
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // Each half of a surrogate pair counts 2, which makes the 4 bytes of the pair.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}
