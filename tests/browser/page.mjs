// The page of `mutirao serve`, driven by a real browser: a person asks, verifies, tampers, switches
// the language, turns the phone. Started by tests/scripts/browser.sh, which names the program, the
// browser and the folder for pictures in the environment.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { MUTIRAO, CHROMIUM, PLACE } = process.env;
const { chromium } = createRequire(join(PLACE, "package.json"))("playwright-core");

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PHONE = { width: 390, height: 844 };
const STORY = "Tell me a story about a fox and a bell.";

const ENVIRONMENT = { ...process.env, MUTIRAO_WALLET_PASSWORD: "only for this test",
  MUTIRAO_RUN_ON_BATTERIES: "true", MUTIRAO_RUN_IF_USER_ACTIVE: "true" };

/** The program with these words: what it says first, and how it is ended. */
async function start(home, ...words) {
  const all = [...words, "--json", "--data-dir", home];
  const running = spawn(MUTIRAO, all, { stdio: ["ignore", "pipe", "inherit"], env: ENVIRONMENT });
  const ended = new Promise((resolve) => running.on("exit", resolve));
  let line = "";
  for await (const bytes of running.stdout) {
    line += bytes;
    if (line.includes("\n")) break;
  }
  assert.ok(line, `mutirao ${words.join(" ")} printed nothing`);
  const close = async () => {
    running.kill("SIGTERM");
    assert.equal(await ended, 0, `mutirao ${words[0]} ended badly`);
  };
  return { said: JSON.parse(line), ended, close };
}

/** The program with these words, to its end. */
async function does(home, ...words) {
  const { said, ended } = await start(home, ...words);
  assert.equal(await ended, 0, `mutirao ${words.join(" ")}`);
  return said;
}

/** `mutirao serve` with these flags, and the address that a browser opens. */
async function serve(home, ...flags) {
  const { said, close } = await start(home, "serve", "--http", "127.0.0.1:0", ...flags);
  const origin = new URL(said.base_url).origin;
  return { origin, address: `${origin}/?token=${said.api_key}`, close };
}

/** A ledger, a provider with prices, and what makes a door pay it. */
async function town(place) {
  const loopback = ["--listen", "127.0.0.1:0"];
  const chain = ["chain", "run", "--gather-ms", "20", "--http", "127.0.0.1:0"];
  const keeper = await start(join(place, "keeper"), ...chain, ...loopback);
  const ledger = ["--ledger", keeper.said.ticket];
  for (const home of ["seller", "node"]) {
    await does(join(place, home), "wallet", "new");
    await does(join(place, home), "wallet", "faucet", "3", ...ledger);
  }
  const prices = ["--price-input", "0.1", "--price-output", "0.5"];
  const seller = await start(join(place, "seller"), "provide", ...loopback, ...prices, ...ledger);
  await does(join(place, "node"), "join", seller.said.ticket);
  const close = async () => {
    await seller.close();
    await keeper.close();
  };
  return { flags: ["--privacy", "circle", "--max-price", "0.1", ...ledger], close };
}

/** A page of a fresh browser that forgives no error and speaks to nobody but the door. */
async function visit(context, door) {
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (said) => said.type() === "error" && wrong.push(`console: ${said.text()}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(door.origin) && !url.startsWith("data:")) wrong.push(`went to ${url}`);
  });
  await page.goto(door.address);
  assert.equal(page.url(), `${door.origin}/`, "the token stays in the address");
  await page.waitForSelector("#model option", { state: "attached" });
  return { page, wrong };
}

/** Types a question as a person does, and gives the last answer's article. */
async function ask(page, question) {
  await page.fill("#question", question);
  await page.press("#question", "Enter");
  return page.locator("article").last();
}

const text = (article) => article.locator(".part").allTextContents().then((all) => all.join(""));
const whole = (article) => article.locator(".facts").waitFor();
const picture = (page, name) => page.screenshot({ path: join(PLACE, `${name}.png`) });

async function answersAndVerifies(page) {
  const article = await ask(page, "What is 17 + 25?");
  await whole(article);
  assert.equal(await text(article), "17 + 25 = 42");
  assert.match(await article.locator(".provider").textContent(), /^[0-9a-f]{8}$/);
  assert.match(await article.locator(".facts").textContent(),
    /^\d+ tokens · first after \d+ ms · \d+ tokens\/s · by [0-9a-f]{8} · computed here · receipt [0-9a-f]{8}$/);

  assert.equal(await article.locator(".lost").count(), 0);

  await article.locator("button.verify").click();
  const verdict = article.locator(".verdict");
  await article.locator(".verdict.holds").waitFor();
  assert.match(await verdict.textContent(), /The receipt holds.*exact \(\d+ replayed\)/s);
  await picture(page, "verified");

  await article.locator("button.tamper").click();
  await article.locator(".verdict.refused").waitFor();
  assert.match(await verdict.textContent(), /Refused.*Token \d+ was changed.*refused/s);
  assert.equal(await verdict.count(), 1);
  await picture(page, "tampered");

  await article.locator("button.verify").click();
  await article.locator(".verdict.holds").waitFor();
}

async function speaksPortuguese(page) {
  await page.click("#language");
  assert.equal(await page.locator("html").getAttribute("lang"), "pt-BR");
  assert.equal(await page.locator("#send").textContent(), "Perguntar");
  assert.match(await page.locator(".facts").last().textContent(), /primeiro após .* calculada aqui/);
  assert.match(await page.locator(".verdict").last().textContent(), /O recibo vale/);
  await picture(page, "portuguese");
  await page.click("#language");
  assert.equal(await page.locator("#send").textContent(), "Ask");
}

async function fitsAPhone(page) {
  await page.setViewportSize(PHONE);
  const article = await ask(page, STORY);
  await whole(article);
  assert.ok((await text(article)).includes("fox"));
  await article.locator("button.tamper").tap();
  await article.locator(".verdict.refused").waitFor();
  await article.locator(".verdict strong").waitFor();
  const [wide, seen] = await page.evaluate(() => [document.body.scrollWidth, innerWidth]);
  assert.ok(wide <= seen, `the page is ${wide} wide on a screen of ${seen}`);
  for (const name of ["#send", "button.verify", "#language"]) {
    const { height } = await page.locator(name).last().boundingBox();
    assert.ok(height >= 44, `${name} is too low for a thumb`);
  }
  await picture(page, "phone");
}

/** Words of a model are text: a question that is markup stays a question. */
async function showsMarkupAsText(page) {
  await page.click("#fresh");
  const article = await ask(page, "<img src=x onerror=alert(1)><script>alert(2)</script>");
  await whole(article);
  assert.equal(await page.locator("#talk img, #talk script").count(), 0);
  assert.match(await article.locator(".asked").textContent(), /^<img/);
}

async function worksByKeyboard(page) {
  await page.click("#fresh");
  await page.locator("#examples button").first().focus();
  await page.keyboard.press("Enter");
  const article = page.locator("article").last();
  await whole(article);
  await article.locator("button.verify").focus();
  await page.keyboard.press("Space");
  await article.locator(".verdict.holds").waitFor();
}

const lost = (article) => article.locator(".lost");

/** Kills whoever writes the story, in the middle; the story goes on, and is the unbroken one. */
async function survivesADeath(page) {
  const broken = await ask(page, STORY);
  await page.waitForFunction(() => {
    const parts = [...document.querySelectorAll("article:last-child .part")];
    return parts.map((part) => part.textContent).join("").length > 40;
  });
  const victim = (await broken.locator(".provider").last().textContent()).trim();
  await broken.locator("button.kill").click();
  await lost(broken).waitFor();
  await picture(page, "killed");
  await whole(broken);
  assert.match(await lost(broken).textContent(), new RegExp(`^${victim} is gone`));
  const writers = await broken.locator(".provider").allTextContents();
  assert.equal(writers.length, 2);
  assert.ok(writers[0] === victim && writers[1] !== victim, `written by ${writers}`);
  assert.ok((await broken.locator(".facts").textContent()).includes(`by ${writers.join(" → ")}`));
  assert.equal(await broken.locator("button.kill").count(), 0);
  await broken.locator("button.verify").click();
  await broken.locator(".verdict.holds").waitFor();
  await picture(page, "survived");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture(page, "dark");
  await page.emulateMedia({ colorScheme: "light" });
  const told = await text(broken);

  await page.click("#fresh");
  const unbroken = await ask(page, STORY);
  await whole(unbroken);
  assert.equal(await lost(unbroken).count(), 0);
  assert.equal(await text(unbroken), told);
}

/** Three neighbours with their figures, one of them dead; by keyboard, in both languages. */
async function showsTheNeighbours(page) {
  await page.locator("#neighbours summary").focus();
  await page.keyboard.press("Enter");
  const known = page.locator("#known li");
  assert.equal(await known.count(), 3);
  const all = (await known.allTextContents()).join("\n");
  assert.match(all, /\d+ answers, \d+ % of the tries · first token half within [\d.]+ ms/);
  await page.setViewportSize(PHONE);
  const [wide, seen] = await page.evaluate(() => [document.body.scrollWidth, innerWidth]);
  assert.ok(wide <= seen, `the page is ${wide} wide on a screen of ${seen}`);
  await page.click("#language");
  assert.match((await known.allTextContents()).join("\n"), /respostas, \d+ % das tentativas · .* metade em até/);
  await picture(page, "neighbours");
  await page.click("#language");
  await page.setViewportSize({ width: 900, height: 760 });
  await page.locator("#neighbours summary").click();
}

/** A stopped answer frees the page for the next question. */
async function stopsWhenAsked(page) {
  const article = await ask(page, STORY);
  await article.locator(".part").first().waitFor();
  await page.keyboard.press("Escape");
  await article.locator(".error").waitFor();
  assert.equal(await article.locator(".facts").count(), 0);
  const next = await ask(page, "What is 17 + 25?");
  await whole(next);
  assert.equal(await text(next), "17 + 25 = 42");
}

/** The last two die in one answer: the page says so, and what was written stays. */
async function saysWhenNobodyIsLeft(page) {
  await page.click("#fresh");
  const article = await ask(page, STORY);
  for (const writers of [1, 2]) {
    await article.locator(".provider").nth(writers - 1).waitFor();
    await article.locator("button.kill").click();
    await lost(article).nth(writers - 1).waitFor();
  }
  await article.locator(".error").waitFor();
  assert.match(await text(article), /^Once/);
  await picture(page, "nobody");
}

/** What an answer cost, the wallet behind it, and one block from both sides. */
async function showsMoney(page) {
  await page.locator("#wallet").waitFor();
  assert.match(await page.locator("#purse").textContent(), /^Wallet: 3\.000000 TJ · 0\.000000 of/);
  const article = await ask(page, STORY);
  await whole(article);
  const cost = (await article.locator(".facts").textContent()).match(/cost ([\d.]+) TJ in \d+ vouchers/);
  assert.ok(cost && Number(cost[1]) > 0, "the answer cost nothing");
  await page.waitForFunction((cost) => document.getElementById("purse").textContent.includes(cost), cost[1]);
  await page.locator("#purse").click();
  assert.match(await page.locator("#channels li").textContent(),
    new RegExp(`^channel [0-9a-f]{8} pays [0-9a-f]{8}: ${cost[1]} of [\\d.]+ TJ, until block \\d+$`));

  await page.locator("#history button").first().click();
  await page.locator("#views .theirs li").waitFor();
  assert.match(await page.locator("#views .yours").textContent(), /You see.*sent [\d.]+ TJ/s);
  const seen = await page.locator("#views .theirs li").textContent();
  assert.match(seen, /^\d+ bytes, \d+ notes in, \d+ out, fee [\d.]+ TJ channel opened$/);
  await picture(page, "wallet");
  await page.setViewportSize(PHONE);
  const [wide, wanted] = await page.evaluate(() => [document.body.scrollWidth, innerWidth]);
  assert.ok(wide <= wanted, `the page is ${wide} wide on a screen of ${wanted}`);
  await page.click("#language");
  assert.match(await page.locator("#purse").textContent(), /^Carteira: /);
  assert.match(await page.locator("#views").textContent(), /Todos os outros veem/);
  await picture(page, "carteira");
  await page.click("#language");
}

async function hasNoWalletToShow(page) {
  assert.equal(await page.locator("#wallet").isVisible(), false);
}

async function scene(name, flags, steps, around = async () => ({ flags: [], close: async () => {} })) {
  const place = await mkdtemp(join(tmpdir(), "mutirao-page-"));
  const town = await around(place);
  const door = await serve(join(place, "node"), ...flags, ...town.flags);
  const context = await chromium.launchPersistentContext(join(place, "browser"), {
    executablePath: CHROMIUM, args: FLAGS, headless: true, locale: "en-GB", hasTouch: true,
    viewport: { width: 900, height: 760 }, colorScheme: "light",
  });
  try {
    const { page, wrong } = await visit(context, door);
    for (const step of steps) {
      await step(page);
      assert.deepEqual(wrong, [], step.name);
      console.log(`  ${name}: ${step.name}`);
    }
  } finally {
    await context.close();
    await door.close();
    await town.close();
    await rm(place, { recursive: true, force: true, maxRetries: 5 });
  }
}

await scene("alone", [], [
  hasNoWalletToShow, answersAndVerifies, speaksPortuguese, worksByKeyboard, showsMarkupAsText, fitsAPhone,
]);
await scene("paid", [], [showsMoney], town);
await scene("demo", ["--demo"], [survivesADeath, showsTheNeighbours, stopsWhenAsked, saysWhenNobodyIsLeft]);
