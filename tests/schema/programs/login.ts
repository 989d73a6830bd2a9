// A login with the client that openapi-generator makes (typescript-fetch), without a hand edit.
// Says what it was told, one line of JSON after the other.
import {
  CodeProblemFromJSON,
  CodePurpose,
  Configuration,
  ConfirmProblemFromJSON,
  ConfirmProblemToJSON,
  LastPhoneRefusalFromJSON,
  PhoneLoginApi,
  PhonesApi,
  ResponseError,
  UnauthenticatedFromJSON,
} from "./client/index.ts";

const [basePath, phone, otherPhone, code, wrongCode] = process.argv.slice(2);

function say(told: unknown) {
  console.log(JSON.stringify(told));
}

async function refusal<T>(asked: Promise<unknown>, read: (json: unknown) => T): Promise<T> {
  try {
    await asked;
  } catch (error) {
    if (error instanceof ResponseError) return read(await error.response.json());
    throw error;
  }
  throw new Error("it was not refused");
}

const stranger = new Configuration({ basePath });
const login = new PhoneLoginApi(stranger);

say(await refusal(login.requestCode({ codeRequest: { phone: "12" } }), CodeProblemFromJSON));
say(await refusal(new PhonesApi(stranger).listPhones(), UnauthenticatedFromJSON));

const asked = await login.requestCode({ codeRequest: { phone } });
say(asked.state);
const { challenge } = asked;
const wrong = { confirmRequest: { challenge, code: wrongCode } };
say(ConfirmProblemToJSON(await refusal(login.confirmCode(wrong), ConfirmProblemFromJSON)));
const confirmed = await login.confirmCode({ confirmRequest: { challenge, code } });
say(confirmed.user.phone);

const member = new Configuration({ basePath, apiKey: `Token ${confirmed.token}` });
const phones = new PhonesApi(member);
const linking = new PhoneLoginApi(member);
const codeRequest = { phone: otherPhone, purpose: CodePurpose.Link };
const link = (await linking.requestCode({ codeRequest })).challenge;
const linked = await linking.confirmCode({ confirmRequest: { challenge: link, code } });
say(linked.token ?? null);
const [first, second] = await phones.listPhones();
say([first.phone, second.phone]);
say((await phones.makePhonePrimary({ phoneId: second.id })).map((each) => each.phone));
await phones.unlinkPhone({ phoneId: first.id });
const kept = phones.unlinkPhone({ phoneId: second.id });
say(await refusal(kept, LastPhoneRefusalFromJSON));
