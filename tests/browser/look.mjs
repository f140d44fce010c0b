// Looks at a page of `tidegate report` in Chromium: pictures in light, dark and at 360 px, and what a parser cannot see.
//
//   npm install --no-save puppeteer-core
//   CHROMIUM=/usr/bin/chromium node tests/browser/look.mjs status.html pictures/
//
// By hand, as a browser has 100 MB: CI reads the page with tests/it/report/page.py. Exits 1 if something is wrong.
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [file, folder = "."] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const wrong = [];
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--hide-scrollbars"],
});

// Text whose contrast with what is behind it is less than 4.5, or 3 where it is large.
function faint() {
  const channel = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("svg")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgb(style.color)), light(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (contrast < least) found.add(`${contrast.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return [...found];
}

for (const [name, scheme, width, openAll] of [
  ["light", "light", 1200, false],
  ["dark", "dark", 1200, false],
  ["phone-light", "light", 360, false],
  ["phone-dark", "dark", 360, true],
  ["open", "light", 1200, true],
]) {
  const page = await browser.newPage();
  page.on("dialog", (dialog) => { wrong.push(`${name}: a script ran: ${dialog.message()}`); dialog.dismiss(); });
  page.on("console", (message) => wrong.push(`${name}: console: ${message.text()}`));
  page.on("request", (request) => {
    const url = request.url();
    if (url !== pathToFileURL(resolve(file)).href && !url.startsWith("data:")) wrong.push(`${name}: asked for ${url}`);
  });
  await page.setViewport({ width, height: 900, deviceScaleFactor: width < 500 ? 2 : 1 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(pathToFileURL(resolve(file)).href);
  if (openAll) await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  if (wide > width) wrong.push(`${name}: ${wide} px wide in a window of ${width}`);
  wrong.push(...(await page.evaluate(faint)).map((text) => `${name}: contrast ${text}`));
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: name !== "open" });
  if (name === "open") {
    // With the keyboard: to the jobs, to the first of them, to its runs.
    const places = [];
    for (let step = 0; step < 4; step++) {
      await page.keyboard.press("Tab");
      places.push(await page.evaluate(() => document.activeElement.textContent.trim().slice(0, 40)));
    }
    console.log("tab:", places.join(" | "));
  }
  await page.close();
}

// What would run if it could: the policy of the page forbids it.
const page = await browser.newPage();
page.on("dialog", (dialog) => { wrong.push(`a script ran: ${dialog.message()}`); dialog.dismiss(); });
const refused = [];
page.on("console", (message) => refused.push(message.text()));
const bad = "<script>alert(1)</script><img src='http://127.0.0.1:9/x.png' onerror='alert(2)'><style>body{display:none}</style><iframe src='data:text/html,x'></iframe></body>";
await page.goto(pathToFileURL(resolve(file)).href);
await page.setContent(readFileSync(file, "utf8").replace("</body>", bad), { waitUntil: "load" });
const isSeen = await page.evaluate(() => getComputedStyle(document.body).display !== "none");
if (!isSeen) wrong.push("a style of somebody else counts");
if (refused.filter((text) => text.includes("Content Security Policy")).length < 4) wrong.push(`not all was refused: ${refused.join("\n")}`);
console.log(`refused by the policy of the page: ${refused.length}`);
await browser.close();
for (const one of wrong) console.error(one);
process.exit(wrong.length ? 1 : 0);
