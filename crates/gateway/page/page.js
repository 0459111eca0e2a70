// The page of one's own node: asks, shows who wrote which part, and lets anybody check the receipt.
// Words of models and peers enter the page as text, never as markup.

const WORDS = {
  en: {
    skip: "Go to the question",
    tagline: "Neighbours' machines answer together; every answer can be checked.",
    model: "Model",
    welcome: "Ask something",
    privacy: "This page speaks only to your own node. The small village model speaks English.",
    conversation: "Conversation",
    question: "Your question",
    send: "Ask",
    stop: "Stop",
    fresh: "New conversation",
    keys: "Enter asks, Shift+Enter makes a new line, Esc stops.",
    lost: "{provider} is gone ({why}). What it wrote stays; the next goes on from there.",
    kill: "Kill {provider}",
    demo: "Three providers of a demonstration answer here: kill one while it writes, and read on. Two may die.",
    facts: "{tokens} tokens · first after {first} ms · {rate} tokens/s · by {providers} · {verification}",
    cost: " · cost {price} TJ in {vouchers} vouchers",
    purse: "Wallet: {spendable} TJ · {spent} of {daily} TJ spent on answers today",
    stale: "The ledger does not answer: this is what was known.",
    owned: "Only this page of yours shows this. A block shows beside it what everybody else sees.",
    pays: "channel {id} pays {provider}: {paid} of {deposit} TJ, until block {expiry}",
    earns: "channel {id} pays you: {paid} of {deposit} TJ, to be closed before block {expiry}",
    somebody: "somebody",
    block: "Block {height}",
    views: "Block {height}, {bytes} bytes, from both sides",
    yours: "You see",
    theirs: "Everybody else sees",
    nothing: "nothing of yours",
    line: "{kind} {amount} TJ {memo}",
    seen: "{bytes} bytes, {spends} notes in, {outputs} out, fee {fee} TJ {actions}",
    received: "received",
    sent: "sent",
    made: "made",
    moved: "moved",
    receipt: "receipt {id}",
    unkept: "no receipt is kept here",
    verify: "Verify the receipt",
    tamper: "Tamper with one token",
    checking: "Replaying …",
    holds: "✔ The receipt holds: replay gives these tokens and no others.",
    refused: "✘ Refused.",
    untampered: "This receipt has no token to change.",
    tampered: "Token {position} was changed from {before} to {after}.",
    neighbours: "Neighbours and their standing",
    measured: "As this node measured them itself; nobody else is told.",
    unasked: "has written nothing for you yet",
    standing: "{answers} answers, {percent} % of the tries · first token {first} · between two {between}",
    times: "half within {p50} ms, nearly all within {p95} ms",
    unknown: "not measured",
    silent: "silent when last asked",
    liar: "wrote a wrong token; never asked again",
    stopped: "Stopped; a stopped answer shows no receipt here.",
    broken: "The answer broke off.",
    failed: "That did not work: {why}",
    "computed here": "computed here",
    "verified by replay": "verified by replay",
    "signed, not replayed": "signed, not replayed",
  },
  pt: {
    skip: "Ir para a pergunta",
    tagline: "As máquinas da vizinhança respondem juntas; cada resposta pode ser conferida.",
    model: "Modelo",
    welcome: "Pergunte algo",
    privacy: "Esta página só fala com o seu próprio nó. O pequeno modelo da vila fala inglês.",
    conversation: "Conversa",
    question: "Sua pergunta",
    send: "Perguntar",
    stop: "Parar",
    fresh: "Nova conversa",
    keys: "Enter pergunta, Shift+Enter quebra a linha, Esc para.",
    lost: "{provider} sumiu ({why}). O que escreveu fica; o próximo continua dali.",
    kill: "Derrubar {provider}",
    demo: "Três provedores de demonstração respondem aqui: derrube um enquanto escreve e siga lendo. Dois podem cair.",
    facts: "{tokens} tokens · primeiro após {first} ms · {rate} tokens/s · por {providers} · {verification}",
    cost: " · custou {price} TJ em {vouchers} vales",
    purse: "Carteira: {spendable} TJ · {spent} de {daily} TJ gastos hoje em respostas",
    stale: "O livro-razão não responde: isto é o que se sabia.",
    owned: "Só esta sua página mostra isto. Um bloco mostra ao lado o que todos os outros veem.",
    pays: "canal {id} paga {provider}: {paid} de {deposit} TJ, até o bloco {expiry}",
    earns: "canal {id} paga você: {paid} de {deposit} TJ, a fechar antes do bloco {expiry}",
    somebody: "alguém",
    block: "Bloco {height}",
    views: "Bloco {height}, {bytes} bytes, dos dois lados",
    yours: "Você vê",
    theirs: "Todos os outros veem",
    nothing: "nada seu",
    line: "{kind} {amount} TJ {memo}",
    seen: "{bytes} bytes, {spends} notas entram, {outputs} saem, taxa {fee} TJ {actions}",
    received: "recebido:",
    sent: "enviado:",
    made: "criado:",
    moved: "movido:",
    receipt: "recibo {id}",
    unkept: "nenhum recibo é guardado aqui",
    verify: "Conferir o recibo",
    tamper: "Adulterar um token",
    checking: "Recalculando …",
    holds: "✔ O recibo vale: o recálculo dá estes tokens e nenhum outro.",
    refused: "✘ Recusado.",
    untampered: "Este recibo não tem token para mudar.",
    tampered: "O token {position} foi mudado de {before} para {after}.",
    neighbours: "Vizinhos e sua reputação",
    measured: "Como este nó mesmo mediu; ninguém mais fica sabendo.",
    unasked: "ainda não escreveu nada para você",
    standing: "{answers} respostas, {percent} % das tentativas · primeiro token {first} · entre dois {between}",
    times: "metade em até {p50} ms, quase todos em até {p95} ms",
    unknown: "não medido",
    silent: "em silêncio na última vez",
    liar: "escreveu um token errado; nunca mais consultado",
    stopped: "Parada; uma resposta parada não mostra recibo aqui.",
    broken: "A resposta foi interrompida.",
    failed: "Não deu certo: {why}",
    "computed here": "calculada aqui",
    "verified by replay": "conferida por recálculo",
    "signed, not replayed": "assinada, não recalculada",
  },
};

const EXAMPLES = [
  "What is 17 + 25?",
  "Tell me a story about a fox and a bell.",
  "Extract the order: Please send 12 crates of mangoes to Rosa on Friday.",
  "What is Mutirão?",
];

const find = (id) => document.getElementById(id);
const short = (key) => String(key).slice(0, 8);

// ---- words ----

let language = navigator.language.toLowerCase().startsWith("pt") ? "pt" : "en";
const values = new WeakMap();

/** The words of `key`, with the given values in their places. */
function words(key, given = {}) {
  const text = WORDS[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    Array.isArray(given[name]) ? words(...given[name])
      : name === "verification" ? words(given[name]) : given[name] ?? "");
}

/** Puts words into an element and remembers which, for when the language changes. */
function say(element, key, given = {}) {
  element.dataset.text = key;
  values.set(element, given);
  element.textContent = words(key, given);
  return element;
}

function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen === "pt" ? "pt-BR" : "en";
  for (const element of document.querySelectorAll("[data-text]")) {
    say(element, element.dataset.text, values.get(element));
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words(element.dataset.label));
  }
  const other = find("language");
  [other.lang, other.textContent] = chosen === "pt" ? ["en", "English"] : ["pt", "Português"];
}

function make(parent, name, kind = "", text = "") {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  element.textContent = text;
  parent.append(element);
  return element;
}

function button(parent, key, act, kind = "") {
  const element = say(make(parent, "button", kind), key);
  element.type = "button";
  element.addEventListener("click", () => act(element));
  return element;
}

// ---- the door ----

/** Sends a request; whatever is no success becomes an error in the door's own words. */
async function request(path, body, signal) {
  const post = { method: "POST", body, signal, headers: { "content-type": "application/json" } };
  const response = await fetch(path, body === undefined ? { signal } : post);
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error?.message ?? `HTTP ${response.status}`);
}

/** The objects of a stream of events, each as soon as it is whole. */
async function* events(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (waiting + decoder.decode(value, { stream: true })).split(/\r?\n/);
    waiting = lines.pop();
    for (const line of lines) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}

// ---- one answer ----

/** An answer on the page, while it comes and afterwards. */
class Answer {
  constructor(article) {
    this.article = article;
    this.body = make(article, "div", "answer working");
    this.text = "";
    this.provider = null;
    this.part = null;
    this.proof = null;
  }

  hear(event) {
    if (event.error) throw new Error(event.error.message);
    const { provider, lost, receipt_id: receipt } = event.mutirao ?? {};
    if (lost?.provider) this.lose(lost);
    const text = event.choices?.[0]?.delta?.content;
    if (text) this.write(text, provider ?? this.provider);
    if (receipt) this.proof = event.mutirao;
    if (event.usage) this.tokens = event.usage.completion_tokens;
  }

  write(text, provider) {
    if (!this.part || provider !== this.provider) {
      const name = make(this.body, "span", "provider", short(provider));
      name.title = provider;
      this.part = make(this.body, "span", "part");
      this.provider = provider;
      this.offerKill(provider);
    }
    this.part.append(text);
    this.text += text;
  }

  /** In a demonstration whoever writes can be ended, without a farewell. */
  offerKill(provider) {
    if (!("demo" in document.body.dataset)) return;
    this.kill?.remove();
    this.kill = button(this.article, "kill", async (pressed) => {
      pressed.disabled = true;
      const killing = request("/v1/demo/kill", JSON.stringify({ provider }));
      await killing.catch((error) => this.fail("failed", error.message));
    }, "kill");
    say(this.kill, "kill", { provider: short(provider) });
  }

  lose({ provider, why }) {
    say(make(this.body, "span", "lost"), "lost", { provider: short(provider), why });
    this.part = null;
    this.kill?.remove();
  }

  fail(key, why) {
    say(make(this.article, "p", "error"), key, { why });
  }

  /** The line of facts, and what can be done with the receipt. */
  close() {
    const proof = this.proof;
    const seconds = Math.max(proof.total_ms - proof.first_token_ms, 1) / 1000;
    const facts = make(this.article, "p", "facts");
    say(make(facts, "span"), "facts", {
      tokens: this.tokens,
      first: proof.first_token_ms,
      rate: Math.round((this.tokens - 1) / seconds),
      providers: proof.providers.map(short).join(" → "),
      verification: proof.verification,
    });
    if (proof.price > 0) {
      const vouchers = proof.payments.reduce((sum, { vouchers }) => sum + vouchers, 0);
      say(make(facts, "span"), "cost", { price: tijolos(proof.price), vouchers });
    }
    facts.append(" · ");
    if (!proof.receipt) return say(make(facts, "span"), "unkept");
    const link = say(make(facts, "a"), "receipt", { id: short(proof.receipt_id) });
    link.href = proof.receipt;
    link.target = "_blank";
    const actions = make(this.article, "div", "actions");
    button(actions, "verify", (pressed) => this.judge(pressed, (file) => ({ file })), "verify");
    button(actions, "tamper", (pressed) => this.judge(pressed, tamper), "tamper");
  }

  /** Fetches the receipt, lets `change` at it, and shows what the node says of the result. */
  async judge(pressed, change) {
    this.verdict?.remove();
    const verdict = make(this.article, "div", "verdict");
    verdict.setAttribute("role", "status");
    this.verdict = verdict;
    say(make(verdict, "span"), "checking");
    pressed.disabled = true;
    try {
      const receipt = await (await request(this.proof.receipt)).text();
      const { file, note } = change(receipt);
      const found = await (await request("/v1/receipts/verify", file)).json();
      verdict.replaceChildren();
      show(verdict, found, note);
    } catch (error) {
      verdict.replaceChildren();
      verdict.classList.add("refused");
      say(make(verdict, "strong"), "failed", { why: error.message });
    }
    pressed.disabled = false;
    verdict.scrollIntoView({ block: "nearest" });
  }
}

/** Shows a verdict: in a word, in a colour, and finding by finding. */
function show(verdict, found, note) {
  verdict.classList.add(found.holds ? "holds" : "refused");
  say(make(verdict, "strong"), found.holds ? "holds" : "refused");
  if (note) say(make(verdict, "span", "note"), "tampered", note);
  const list = make(verdict, "dl");
  list.lang = "en";
  for (const [name, text] of found.lines) {
    make(list, "dt", "", name);
    make(list, "dd", "", text);
  }
}

/** Changes one token in the middle of the answer that a receipt opens. */
function tamper(receipt) {
  const bundle = JSON.parse(receipt);
  const answer = bundle.opening.answer;
  const position = Math.floor(answer.length / 2);
  if (!answer.length) throw new Error(words("untampered"));
  const before = answer[position];
  answer[position] = before ^ 1;
  return { file: JSON.stringify(bundle), note: { position, before, after: before ^ 1 } };
}

// ---- the conversation ----

let messages = [];
let running = null;

async function ask(question) {
  const controller = new AbortController();
  running = controller;
  find("welcome").hidden = true;
  const article = make(find("talk"), "article");
  article.setAttribute("aria-busy", "true");
  make(article, "p", "asked", question);
  const answer = new Answer(article);
  busy(true);
  window.scrollTo({ top: document.body.scrollHeight });
  const asked = [...messages, { role: "user", content: question }];
  try {
    await stream(answer, asked, controller.signal);
    if (!answer.proof) throw new Error(words("broken"));
    follow(() => answer.close());
    messages = [...asked, { role: "assistant", content: answer.text }];
  } catch (error) {
    if (controller.signal.aborted) answer.fail("stopped");
    else answer.fail("failed", error.message);
  }
  answer.body.classList.remove("working");
  answer.kill?.remove();
  article.setAttribute("aria-busy", "false");
  running = null;
  busy(false);
  listNeighbours().catch(() => {});
  showWallet().catch(() => {});
}

/** Changes the page, and stays at its end if that is where the reader is. */
function follow(change) {
  const there = window.innerHeight + window.scrollY >= document.body.scrollHeight - 60;
  change();
  if (there) window.scrollTo({ top: document.body.scrollHeight });
}

async function stream(answer, asked, signal) {
  const body = JSON.stringify({
    model: find("model").value,
    messages: asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  const response = await request("/v1/chat/completions", body, signal);
  for await (const event of events(response)) {
    follow(() => answer.hear(event));
  }
}

function busy(is) {
  const adrift = [document.body, find("stop")].includes(document.activeElement);
  find("send").hidden = is;
  find("stop").hidden = !is;
  find("fresh").hidden = is || !find("talk").children.length;
  // A finger would only get a keyboard in the way of the answer.
  if (!is && adrift && matchMedia("(pointer: fine)").matches) {
    find("question").focus({ preventScroll: true });
  }
}

function forget() {
  messages = [];
  find("talk").replaceChildren();
  find("welcome").hidden = false;
  busy(false);
}

/** Who may be asked, and how they did so far. */
async function listNeighbours() {
  const { data } = await (await request("/v1/neighbours")).json();
  find("neighbours").hidden = data.length === 0;
  find("known").replaceChildren();
  for (const neighbour of data) {
    const item = make(find("known"), "li");
    make(item, "span", "provider", short(neighbour.id)).title = neighbour.id;
    if (neighbour.lies > 0) say(make(item, "strong", "mark"), "liar");
    if (neighbour.silent) say(make(item, "span", "mark"), "silent");
    if (neighbour.success_ratio === null) say(make(item, "span"), "unasked");
    else say(make(item, "span"), "standing", {
      answers: neighbour.answers,
      percent: Math.round(100 * neighbour.success_ratio),
      first: times(neighbour.time_to_first_token_seconds),
      between: times(neighbour.inter_token_latency_seconds),
    });
  }
}

/** Two percentiles, as words and the values in them. */
function times(seconds) {
  if (!seconds) return ["unknown", {}];
  const ms = (time) => (time < 0.01 ? (1000 * time).toFixed(1) : Math.round(1000 * time));
  return ["times", { p50: ms(seconds.p50), p95: ms(seconds.p95) }];
}

// ---- money ----

const tijolos = (units) => (units / 1e6).toFixed(6);

/** What there is, what channels say, what came and went; nothing where no wallet is open. */
async function showWallet() {
  const wallet = await (await request("/v1/wallet")).json();
  find("wallet").hidden = !wallet.open;
  if (!wallet.open) return;
  say(find("purse"), "purse", {
    spendable: tijolos(wallet.spendable),
    spent: tijolos(wallet.spent_today),
    daily: tijolos(wallet.daily),
  });
  find("channels").replaceChildren();
  if (!wallet.current) say(make(find("channels"), "li", "mark"), "stale");
  for (const channel of wallet.channels) {
    say(make(find("channels"), "li"), channel.side === "payee" ? "earns" : "pays", {
      id: short(channel.id),
      provider: channel.provider ? short(channel.provider) : ["somebody", {}],
      paid: tijolos(channel.paid),
      deposit: tijolos(channel.deposit),
      expiry: channel.expiry,
    });
  }
  find("history").replaceChildren();
  for (const line of wallet.history) {
    const item = make(find("history"), "li");
    if (line.block !== null) {
      const chosen = button(item, "block", () => showBlock(line.block));
      say(chosen, "block", { height: line.block });
    }
    sayLine(make(item, "span"), line);
  }
}

function sayLine(element, { kind, amount, memo }) {
  if (kind === "cell") return element.append(memo);
  say(element, "line", { kind: [kind, {}], amount: tijolos(amount), memo });
}

/** One block, as its owner sees it beside what everybody else does. */
async function showBlock(height) {
  const views = find("views");
  views.hidden = false;
  views.replaceChildren();
  try {
    const block = await (await request(`/v1/wallet/blocks/${height}`)).json();
    say(make(views, "h2"), "views", { height, bytes: block.bytes });
    const mine = side(views, "yours");
    for (const line of block.owner) sayLine(make(mine, "li"), line);
    if (!block.owner.length) say(make(mine, "li"), "nothing");
    const seen = side(views, "theirs");
    for (const { bytes, spends, outputs, fee, actions } of block.stranger) {
      const given = { bytes, spends, outputs, fee: tijolos(fee), actions: actions.join(", ") };
      say(make(seen, "li"), "seen", given);
    }
  } catch (error) {
    say(make(views, "p", "error"), "failed", { why: error.message });
  }
}

function side(parent, title) {
  const section = make(parent, "section", title);
  say(make(section, "h3"), title);
  return make(section, "ul");
}

async function listModels() {
  const { data } = await (await request("/v1/models")).json();
  for (const { id } of data) make(find("model"), "option", "", id).value = id;
}

function start() {
  speak(language);
  find("language").addEventListener("click", () => speak(language === "en" ? "pt" : "en"));
  const question = find("question");
  find("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = question.value.trim();
    if (running || !text) return;
    question.value = "";
    ask(text);
  });
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    find("ask").requestSubmit();
  });
  find("stop").addEventListener("click", () => running?.abort());
  find("fresh").addEventListener("click", forget);
  document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
  for (const example of EXAMPLES) {
    const item = make(find("examples"), "li");
    const chosen = make(item, "button", "", example);
    chosen.type = "button";
    chosen.lang = "en";
    chosen.addEventListener("click", () => running || ask(example));
  }
  if ("demo" in document.body.dataset) say(make(find("welcome"), "p", "demo"), "demo");
  listNeighbours().catch(() => {});
  showWallet().catch(() => {});
  listModels().catch((error) => say(find("welcome").querySelector("p"), "failed", { why: error.message }));
}

start();
