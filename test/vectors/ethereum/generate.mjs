// Writes generated.json: what cast (Foundry) and eth-sig-util (MetaMask) make of the same inputs.
//   npm install && node generate.mjs
// The output is committed, so that tests need neither.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { personalSign, recoverTypedSignature, signTypedData, TypedDataUtils, SignTypedDataVersion } from '@metamask/eth-sig-util';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const cast = (...args) => {
  const answer = execFileSync(here('node_modules/.bin/cast'), args, { encoding: 'utf8' }).trim();
  if (answer === '') throw new Error('cast says nothing to ' + args.join(' '));
  return answer;
};

// Well-known test keys, of no value anywhere.
const keys = [
  '0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318',
  '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
  '0x0000000000000000000000000000000000000000000000000000000000000001',
];
const [a, b, c] = keys.map((key) => cast('wallet', 'address', '--private-key', key));
const word = (byte) => '0x' + byte.repeat(32);
const noNode = ['--rpc-url', 'http://127.0.0.1:1'];

// ABI: types and values; the values as JSON for the test, and as cast reads them.
const toCast = (value) => Array.isArray(value) ? '[' + value.map(toCast).join(',') + ']' : typeof value === 'object'
  ? '(' + value.tuple.map(toCast).join(',') + ')' : value === '' ? '""' : String(value);
const abiCases = [
  ['uint256', '0'], ['uint256', '115792089237316195423570985008687907853269984665640564039457584007913129639935'],
  ['int64', '-1'], ['int64', '9223372036854775807'], ['bool,bool', true, false], ['address', a],
  ['bytes32', word('ab')], ['bytes4', '0xdeadbeef'], ['bytes', '0x'], ['bytes', '0x' + '11'.repeat(31)], ['bytes', '0x' + '22'.repeat(32)],
  ['bytes', '0x' + '33'.repeat(33)], ['string', 'Grüße, 世界'], ['uint64,bytes,bool', '7', '0x0102', true],
  ['uint256[]', []], ['uint256[]', ['1', '2', '3']], ['uint256[3]', ['4', '5', '6']], ['bytes32[2][]', [[word('01'), word('02')], [word('03'), word('04')]]],
  ['string[]', ['one', '', 'three']], ['string[2]', ['fixed', 'array']], ['uint256[][]', [['1'], [], ['2', '3']]],
  ['(uint256,bool)', { tuple: ['9', true] }], ['(uint256,string)', { tuple: ['9', 'nine'] }],
  ['(bytes32,uint64,(address,bytes)[])[]', [{ tuple: [word('0a'), '1', []] },
    { tuple: [word('0b'), '2', [{ tuple: [a, '0xff'] }, { tuple: [b, '0x' + '44'.repeat(40)] }]] }]],
  ['bytes32,uint64,bytes32,bytes32,uint32,bytes32,bytes32,bytes32,uint16,uint16',
    word('01'), '3', word('02'), word('03'), '12', word('04'), word('05'), word('06'), '1', '5'],
  ['uint8,string,uint16,bytes,address[]', '255', 'a', '65535', '0x00', [a, b, c]],
];
const abi = abiCases.map(([types, ...values]) => ({
  types, values, encoded: cast('abi-encode', `f(${types})`, '--', ...values.map(toCast)),
}));

const signatures = ['transfer(address,uint256)', 'decide(bytes32,bytes32,bytes32,bytes32,uint8,uint8,uint64)', 'f((bytes32,uint64)[],string)', 'name()'];
const selectors = signatures.map((signature) => ({ signature, selector: cast('sig', signature), topic: cast('keccak', signature) }));

const transactionCases = [
  { key: keys[0], chain: 1337, nonce: 5, gas: 100000, price: '1000', tip: '2', value: '1', to: b, data: '0xb3de648b' + '00'.repeat(31) + '07' },
  { key: keys[1], chain: 1, nonce: 0, gas: 21000, price: '100000000000', tip: '0', value: '1000000000000000000', to: a, data: '0x' },
  { key: keys[1], chain: 4503599627370495, nonce: 4294967296, gas: 300000000, price: '1', tip: '1', value: '0', to: c, data: '0x' + '00ff'.repeat(100) },
  { key: keys[2], chain: 31337, nonce: 127, gas: 5000000, price: '7', tip: '1', value: '0', to: null, data: '0x6001600155' },
  { key: keys[2], chain: 31337, nonce: 128, gas: 90000, price: '7', value: '255', to: a, data: '0x01', legacy: true },
  { key: keys[0], chain: 4503599627370495, nonce: 1, gas: 60000, price: '0', value: '0', to: null, data: '0x00', legacy: true },
  { key: keys[0], chain: 10, nonce: 9, gas: 70000, price: '30', tip: '3', value: '0', to: b, data: '0x',
    access: [{ address: a, storageKeys: [word('01'), word('02')] }, { address: c, storageKeys: [] }] },
];
const transactions = transactionCases.map((tx) => {
  const args = ['mktx', '--private-key', tx.key, '--chain', String(tx.chain), '--nonce', String(tx.nonce), '--gas-limit', String(tx.gas), '--gas-price', tx.price,
    '--value', tx.value, ...noNode];
  if (tx.legacy) args.push('--legacy'); else args.push('--priority-gas-price', tx.tip);
  if (tx.access) args.push('--access-list', JSON.stringify(tx.access));
  if (tx.to === null) args.push('--create', tx.data); else args.push(tx.to, tx.data);
  const raw = cast(...args);
  return { ...tx, sender: cast('wallet', 'address', '--private-key', tx.key), raw, hash: cast('keccak', raw) };
});

const creations = [0, 1, 127, 128, 4294967296].map((nonce) => ({
  sender: a, nonce, address: cast('compute-address', a, '--nonce', String(nonce)).split(' ').pop(),
}));
const create2 = { deployer: b, salt: word('07'), initCodeHash: cast('keccak', '0x6001600155') };
create2.address = cast('create2', '--deployer', b, '--salt', create2.salt, '--init-code-hash', create2.initCodeHash).match(/0x[0-9a-fA-F]{40}/)[0];

// EIP-191, by both tools.
const messages = ['', 'Hello, world!', 'Grüße', 'a'.repeat(1000), 'service.org wants you to sign in with your Ethereum account:\nline'].map((message) => {
  const signature = personalSign({ privateKey: Buffer.from(keys[0].slice(2), 'hex'), data: '0x' + Buffer.from(message).toString('hex') });
  if (message !== '' && cast('wallet', 'sign', '--private-key', keys[0], message) !== signature) throw new Error('the tools disagree on ' + message);
  return { key: keys[0], message, signature, signer: a };
});

// EIP-712, by both tools.
const domainType = [{ name: 'name', type: 'string' }, { name: 'version', type: 'string' }, { name: 'chainId', type: 'uint256' }, { name: 'verifyingContract', type: 'address' }];
const domain = { name: 'Fiducial Consents', version: '1', chainId: 4503599627370495, verifyingContract: b };
const documents = [
  { types: { EIP712Domain: domainType, Person: [{ name: 'name', type: 'string' }, { name: 'wallet', type: 'address' }],
      Mail: [{ name: 'from', type: 'Person' }, { name: 'to', type: 'Person' }, { name: 'contents', type: 'string' }] },
    primaryType: 'Mail', domain: { name: 'Ether Mail', version: '1', chainId: 1, verifyingContract: '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC' },
    message: { from: { name: 'Cow', wallet: '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826' },
      to: { name: 'Bob', wallet: '0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB' }, contents: 'Hello, Bob!' } },
  { types: { EIP712Domain: domainType, Grant: [{ name: 'holder', type: 'bytes32' }, { name: 'patientKey', type: 'bytes32' }, { name: 'grantee', type: 'bytes32' },
      { name: 'granteeKind', type: 'uint8' }, { name: 'scope', type: 'bytes32' }, { name: 'purpose', type: 'uint8' }, { name: 'expiry', type: 'uint64' }, { name: 'epoch', type: 'uint64' }] },
    primaryType: 'Grant', domain, message: { holder: word('01'), patientKey: word('02'), grantee: word('03'), granteeKind: 1, scope: word('04'), purpose: 2,
      expiry: '18446744073709551615', epoch: 7 } },
  { types: { EIP712Domain: domainType, Revoke: [{ name: 'holder', type: 'bytes32' }, { name: 'patientKey', type: 'bytes32' }, { name: 'grantId', type: 'uint256' },
      { name: 'all', type: 'bool' }, { name: 'epoch', type: 'uint64' }] },
    primaryType: 'Revoke', domain, message: { holder: word('01'), patientKey: word('02'), grantId: '115792089237316195423570985008687907853269984665640564039457584007913129639935', all: false, epoch: 8 } },
  { types: { EIP712Domain: [{ name: 'name', type: 'string' }, { name: 'salt', type: 'bytes32' }],
      Node: [{ name: 'value', type: 'int128' }, { name: 'tags', type: 'bytes4[2]' }, { name: 'raw', type: 'bytes' }, { name: 'leaves', type: 'Leaf[]' }, { name: 'grid', type: 'uint16[][]' }],
      Leaf: [{ name: 'text', type: 'string' }, { name: 'flag', type: 'bool' }] },
    primaryType: 'Node', domain: { name: 'arrays', salt: word('5a') },
    message: { value: '-170141183460469231731687303715884105728', tags: ['0x01020304', '0xffffffff'], raw: '0x00ff', leaves: [{ text: 'a', flag: true }, { text: '世界', flag: false }], grid: [[1, 2], [], [3]] } },
  { types: { EIP712Domain: [], Empty: [] }, primaryType: 'Empty', domain: {}, message: {} },
];
const typedData = documents.map((document) => {
  const V4 = SignTypedDataVersion.V4;
  const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex');
  const signature = signTypedData({ privateKey: Buffer.from(keys[1].slice(2), 'hex'), data: document, version: V4 });
  if (recoverTypedSignature({ data: document, signature, version: V4 }) !== b.toLowerCase()) throw new Error('eth-sig-util disagrees with itself');
  const signatureOfCast = cast('wallet', 'sign', '--private-key', keys[1], '--data', JSON.stringify(document));
  if (signatureOfCast !== signature) throw new Error('the tools disagree on ' + document.primaryType);
  return {
    document, encodedType: TypedDataUtils.encodeType(document.primaryType, document.types), domainHash: hex(TypedDataUtils.eip712DomainHash(document, V4)),
    messageHash: hex(TypedDataUtils.hashStruct(document.primaryType, document.message, document.types, V4)),
    digest: hex(TypedDataUtils.eip712Hash(document, V4)), signature, signer: b,
  };
});

const out = { abi, selectors, transactions, creations, create2, messages, typedData };
const lines = Object.entries(out).map(([name, list]) => `  ${JSON.stringify(name)}: ` +
  (Array.isArray(list) ? '[\n' + list.map((entry) => '    ' + JSON.stringify(entry)).join(',\n') + '\n  ]' : JSON.stringify(list)));
writeFileSync(here('generated.json'), '{\n' + lines.join(',\n') + '\n}\n');
