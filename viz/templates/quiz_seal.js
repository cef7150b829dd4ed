// Answers as they are compared, and what a sealed one says; see viz/quiz_page.py.  The key
// derivation is the browser's own (Web Crypto: RFC 8018 PBKDF2 with HMAC-SHA-256).

// The same as canonical() of viz/quiz_questions.py.
function canonical(form, text) {
  text = text.trim().toLowerCase().replaceAll("_", "");
  if (form === "flags")
    return [...new Set(text.toUpperCase().match(/NX|PS|[^\s,]/gu) ?? [])].sort().join(" ");
  if (form === "yes") return {y: "yes", n: "no"}[text] ?? text;
  if (form === "size")
    return text.toUpperCase().replaceAll(" ", "").replace("IB", "").replace(/B+$/, "");
  const digits = form === "hex" && text.startsWith("0x") ? text.slice(2) : text;
  return digits.replace(/^0+/, "") || (digits ? "0" : "");
}

const bytes = hex => Uint8Array.from(hex.match(/../g) ?? [], pair => parseInt(pair, 16));

// The text that `seal` covers if `answer` is the one it was sealed with, else null.
async function unseal(seal, answer, salt, rounds, check) {
  const data = bytes(seal);
  const given = await crypto.subtle.importKey("raw", new TextEncoder().encode(answer), "PBKDF2",
                                              false, ["deriveBits"]);
  const key = new Uint8Array(await crypto.subtle.deriveBits(
    {name: "PBKDF2", hash: "SHA-256", salt: bytes(salt), iterations: rounds}, given,
    8 * data.length));
  if (!data.slice(0, check).every((value, i) => value === key[i])) return null;
  return new TextDecoder().decode(data.slice(check).map((value, i) => value ^ key[check + i]));
}
