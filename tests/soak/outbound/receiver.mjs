// Reads what TaskFlow sends, one JSON a line, and says what it holds: webhooks by the reference
// library of Standard Webhooks, messages to browsers by that of RFC 8188 and 8291.

import { createECDH, createPublicKey, verify } from "node:crypto";
import { createInterface } from "node:readline";

import ece from "http_ece";
import { Webhook } from "standardwebhooks";

function webhook({ secret, headers, body }) {
  return new Webhook(secret).verify(Buffer.from(body, "base64url").toString(), headers);
}

function push({ key, auth, headers, body }) {
  const browser = createECDH("prime256v1");
  browser.setPrivateKey(key, "base64url");
  const content = ece.decrypt(Buffer.from(body, "base64url"), {
    version: headers["content-encoding"],
    privateKey: browser,
    authSecret: auth,
  });
  return { content: JSON.parse(content.toString()), claims: claims(headers.authorization) };
}

// RFC 8292, 3.
function claims(authorization) {
  const [, token, point] = /^vapid t=([^,\s]+), ?k=([^,\s]+)$/.exec(authorization);
  const raw = Buffer.from(point, "base64url");
  const [x, y] = [raw.subarray(1, 33), raw.subarray(33)].map((n) => n.toString("base64url"));
  const key = createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
  const [header, payload, signature] = token.split(".");
  const signed = Buffer.from(`${header}.${payload}`);
  const by = { key, dsaEncoding: "ieee-p1363" };
  if (!verify("sha256", signed, by, Buffer.from(signature, "base64url"))) {
    throw new Error("the token is not signed by its key");
  }
  return JSON.parse(Buffer.from(payload, "base64url").toString());
}

const readers = { webhook, push };

for await (const line of createInterface({ input: process.stdin })) {
  const { kind, ...sent } = JSON.parse(line);
  let read;
  try {
    read = { holds: readers[kind](sent) };
  } catch (error) {
    read = { refused: error.message };
  }
  process.stdout.write(`${JSON.stringify(read)}\n`);
}
