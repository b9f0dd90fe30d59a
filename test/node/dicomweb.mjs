// What dicomweb-client gets of an archive, as one line of JSON. Arguments: address, token, study, a file that is stored first.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import xhr2 from 'xhr2';
import dicomweb from 'dicomweb-client';

globalThis.XMLHttpRequest = xhr2.XMLHttpRequest;
const [url, token, study, file] = process.argv.slice(2);
const client = new dicomweb.api.DICOMwebClient({ url, headers: { Authorization: `Bearer ${token}` } });
const digest = bytes => createHash('sha256').update(Buffer.from(bytes)).digest('hex');
const text = (dataset, tag) => dataset[tag].Value[0];

const stored = readFileSync(file);
await client.storeInstances({ datasets: [stored.buffer.slice(stored.byteOffset, stored.byteOffset + stored.length)] });
const studies = await client.searchForStudies({ queryParams: { StudyInstanceUID: study } });
const series = await client.searchForSeries({ studyInstanceUID: study });
const metadata = await client.retrieveStudyMetadata({ studyInstanceUID: study });
const first = metadata[0];
const instance = { studyInstanceUID: study, seriesInstanceUID: text(first, '0020000E'), sopInstanceUID: text(first, '00080018') };
const whole = await client.retrieveStudy({ studyInstanceUID: study });
const frames = await client.retrieveInstanceFrames({ ...instance, frameNumbers: ['1'] });
const rendered = await client.retrieveInstanceRendered({ ...instance });
const one = await client.retrieveInstance({ ...instance });
console.log(JSON.stringify({
  studies: studies.map(dataset => text(dataset, '0020000D')), series: series.map(dataset => text(dataset, '0020000E')).sort(),
  metadata: metadata.map(dataset => text(dataset, '00080018')).sort(), instance: instance.sopInstanceUID,
  whole: whole.map(digest).sort(), one: digest(one), frame: digest(frames[0]), rendered: Buffer.from([].concat(rendered)[0]).subarray(0, 3).toString('hex'),
}));
