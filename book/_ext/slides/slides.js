// Sets the formulas, breaks what is too long for one screen at its natural joints, and starts reveal.js.
(() => {
  const WIDTH = 1280, HEIGHT = 720, MARGIN = 0.05;
  const ROOM = HEIGHT - 30; // what a screen holds
  const LEAST = 0.6; // nothing is made smaller than this
  const make = (name, look, text) => Object.assign(document.createElement(name), { className: look, textContent: text });
  const isNote = (el) => el.matches("aside.notes");

  // Which children of a block can move to the next screen; null if it must stay whole.
  function joints(block) {
    const inner = block.matches("ul, ol, tbody") ? block
      : block.querySelector(":scope ol.ol-steps, :scope > tbody, :scope > table > tbody, :scope > section")
      ?? (block.matches("div.admonition") ? block : null);
    if (!inner || inner.closest(".ol-explorable")) return null;
    const parts = [...inner.children].filter((el) => !el.matches(".admonition-title"));
    return parts.length > 1 ? { inner, parts } : null;
  }

  const bottom = (section, el) => el.getBoundingClientRect().bottom - section.getBoundingClientRect().top;

  // The same box without the parts from `first` on, and a second box with them.
  function halve(block, { inner, parts }, first) {
    const path = [];
    for (let el = inner; el !== block; el = el.parentElement) path.unshift(el);
    const rest = block.cloneNode(false);
    rest.removeAttribute("id");
    let into = rest;
    for (const el of path) {
      for (const kept of into.children.length ? [] : el.parentElement.children) {
        if (kept.matches("thead, .ol-title, .admonition-title")) into.append(kept.cloneNode(true));
      }
      const shell = el.cloneNode(false);
      into.append(shell);
      into = shell;
    }
    if (!path.length && block.matches("div.admonition")) {
      const title = block.querySelector(":scope > .admonition-title");
      if (title) into.append(title.cloneNode(true));
    }
    if (inner.matches("ol")) {
      const before = inner.children.length - parts.length + first;
      if (inner.matches(".ol-steps")) into.style.counterReset = `ol-step ${before + (inner.shift ?? 0)}`;
      else into.start = (inner.start || 1) + before;
      into.shift = before + (inner.shift ?? 0);
      rest.style.counterReset = inner.matches(".ol-steps") ? "none" : "";
    }
    into.append(...parts.slice(first));
    return rest;
  }

  // What can't be broken gets smaller, a picture by its height; the last resort is a box that scrolls.
  function shrink(section, block) {
    const over = bottom(section, block) - ROOM;
    if (over <= 0) return;
    const picture = [...block.querySelectorAll("figure:not(.ol-explorable) :is(svg, img)")].find((el) => el.getBoundingClientRect().height);
    if (picture) {
      block.style.setProperty("--ol-room", `${Math.max(220, picture.getBoundingClientRect().height - over - 4)}px`);
      if (bottom(section, block) <= ROOM) return;
    }
    const top = block.getBoundingClientRect().top - section.getBoundingClientRect().top;
    for (let zoom = 0.95; zoom >= LEAST; zoom -= 0.05) {
      block.style.zoom = zoom;
      if (bottom(section, block) <= ROOM) return;
    }
    block.style.zoom = LEAST;
    if (bottom(section, block) <= ROOM) return;
    block.classList.add("ol-scrolls");
    block.style.maxHeight = `${(ROOM - top) / LEAST}px`;
    block.tabIndex = 0;
  }

  // Long code and long output: pieces of 24 lines. (Pygments closes its spans at the end of each line.)
  function chop(section) {
    for (const pre of section.querySelectorAll(":scope > :is(.ol-code, .cell) pre")) {
      const lines = pre.innerHTML.replace(/\n$/, "").split("\n");
      if (lines.length <= 27 || pre.closest("figure, .ol")) continue;
      const block = [...section.children].find((el) => el.contains(pre));
      const count = Math.ceil(lines.length / 24), size = Math.ceil(lines.length / count);
      for (let i = count - 1; i > 0; i -= 1) {
        pre.innerHTML = lines.slice(i * size, (i + 1) * size).join("\n");
        block.after(block.cloneNode(true));
      }
      pre.innerHTML = lines.slice(0, size).join("\n");
    }
  }

  // A formula that is wider than its slide gets smaller.
  function narrow(section) {
    const edge = section.getBoundingClientRect().left + section.clientWidth;
    for (const formula of section.querySelectorAll("mjx-container")) {
      const box = (formula.querySelector("mjx-math") ?? formula).getBoundingClientRect();
      if (box.right > edge && box.left < edge) formula.style.zoom = Math.max(LEAST, (edge - box.left) / box.width - 0.02);
    }
  }

  // A picture below a sentence or two takes the room that is left, if that is enough.
  function fits(page, block) {
    const top = block.getBoundingClientRect().top - page.getBoundingClientRect().top;
    if (top > 210 || !block.querySelector("figure")) return false;
    shrink(page, block);
    return true;
  }

  // Break one slide into as many screens as it needs.
  function paginate(section) {
    const screens = [section];
    for (let page = section; page; ) {
      const blocks = [...page.children].filter((el) => !isNote(el) && !el.matches("h1, h2, .ol-kicker"));
      const cut = blocks.findIndex((el) => bottom(page, el) > ROOM);
      if (cut < 0) break;
      const block = blocks[cut], found = joints(block);
      const next = make("section", "");
      const title = page.querySelector(":scope > :is(h1, h2)");
      const again = title ? make("h2", "ol-again", "") : null;
      if (again) { again.innerHTML = title.innerHTML; next.append(again); }
      let first = found ? found.parts.findIndex((el) => bottom(page, el) > ROOM) : -1;
      const tail = []; // everything after the block
      for (let el = block.nextElementSibling; el; el = el.nextElementSibling) tail.push(el);
      if (first > 0) {
        next.append(halve(block, found, first), ...tail);
      } else if (cut > 0 && fits(page, block)) {
        next.append(...tail);
        if (!tail.length) break;
      } else if (cut > 0) {
        // A sentence that leads to a formula, a list or a table stays with it.
        const before = blocks[cut - 1];
        const leads = cut > 1 && before.matches("p") && /[:,\w]$|[:]\s*$/.test(before.textContent.trim());
        next.append(...(leads ? [before] : []), block, ...tail);
      } else {
        shrink(page, block);
        if (!tail.some((el) => !isNote(el))) break;
        next.append(...tail.slice(tail.findIndex((el) => !isNote(el))));
      }
      page.after(next);
      screens.push(next);
      page = next;
    }
    return screens;
  }

  function number(all) {
    return (slide) => {
      const { at, part, parts } = slide?.place ?? {};
      return [at ? `${at} / ${all}` + (parts > 1 ? ` (${part} of ${parts})` : "") : ""];
    };
  }

  // The speaker's window has the notes, but neither the formulas' stylesheet nor the book's.
  function dressSpeaker() {
    const open = window.open.bind(window);
    window.open = (...words) => {
      const other = open(...words);
      setTimeout(() => {
        const style = document.getElementById("MJX-CHTML-styles");
        if (!other || !style) return;
        const rules = [...style.sheet.cssRules].map((rule) => rule.cssText).join("\n");
        other.document.head.append(Object.assign(other.document.createElement("style"), { textContent: rules }));
      }, 1500);
      return other;
    };
  }

  async function start() {
    await MathJax.startup.promise;
    const slides = document.querySelector(".slides");
    for (const line of slides.querySelectorAll(".ol-steps > li")) line.classList.add("fragment");
    slides.style.width = `${WIDTH}px`;
    const notes = [...slides.querySelectorAll("aside.notes")];
    await MathJax.typesetPromise([...slides.querySelectorAll("section > section > :not(aside)")]);
    await document.fonts.ready;
    let at = 0;
    for (const section of slides.querySelectorAll("section > section")) {
      section.style.width = `${WIDTH}px`;
      chop(section);
      narrow(section);
      const screens = paginate(section);
      at += 1;
      screens.forEach((screen, i) => { screen.place = { at, part: i + 1, parts: screens.length }; });
    }
    for (const section of slides.querySelectorAll("section")) section.style.width = "";
    slides.style.width = "";
    dressSpeaker();
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "t" || event.ctrlKey || event.metaKey || event.target.matches("input, textarea")) return;
      const root = document.documentElement;
      root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    });
    await Reveal.initialize({
      width: WIDTH, height: HEIGHT, margin: MARGIN, center: false, hash: true, transition: "none", viewDistance: 3,
      slideNumber: number(at), pdfSeparateFragments: false, pdfMaxPagesPerSlide: 1, plugins: [RevealNotes],
      keyboardCondition: () => !document.activeElement?.closest(".ol-explorable"),
    });
    document.documentElement.classList.add("ready");
    Reveal.layout();
    await MathJax.typesetPromise(notes); // nobody waits for these
  }

  start().catch((error) => {
    document.getElementById("ol-wait").textContent = `The slides could not be set: ${error.message ?? error}`;
    throw error;
  });
})();
