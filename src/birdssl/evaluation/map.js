// Embeddings on a plane, drawn on a canvas: a click on a point shows the clip's spectrogram and plays its sound.
// All data lie in the page: the points in #map-data, pictures and sounds in elements named after their clips.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("map-data").textContent);
  const plot = byId("map"), canvas = byId("map-canvas"), tip = byId("map-tip"), chips = byId("map-chips");
  const which = byId("map-system"), by = byId("map-colour"), search = byId("map-search"), audio = byId("clip-sound");
  const pen = canvas.getContext("2d");
  const UNKNOWN = "not known", GREY = "#9aa5a0", INK = "#22302b";
  const REACH = 14; // px: how near a click must come to a point
  const DRAG = 5; // px: less than this between press and release is a click
  const MOST_HITS = 12, MARGIN = 22, ZOOM = 1.4, MOST_ZOOM = 200;
  const hidden = new Set();
  let points = []; // of the shown system: {clip, place, x, y (0 to 1), value}
  let values = []; // what points are coloured by, in the order of the chips
  let view = { zoom: 1, x: 0.5, y: 0.5 }; // what lies in the middle
  let selected = -1, found = new Set(), asked = false;

  const system = () => data.systems[Number(which.value)];

  function node(name, attributes, text) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text ?? "";
    return made;
  }

  // ---- points ----

  function load() {
    const now = system();
    const [x, y] = [now.x, now.y].map((places) => {
      const low = Math.min(...places), span = Math.max(...places) - low || 1;
      return places.map((place) => (place - low) / span);
    });
    points = now.clips.map((clip, place) => ({ clip, place, value: valueOf(now, place), x: x[place], y: 1 - y[place] }));
    values = [...new Set(points.map((point) => point.value))];
    values.sort((a, b) => (a === UNKNOWN) - (b === UNKNOWN) || a.localeCompare(b));
    byId("map-caption").textContent = now.caption;
    drawChips();
    draw();
  }

  // What a clip is coloured by; right or wrong depends on the system.
  function valueOf(now, place) {
    const clip = now.clips[place];
    if (by.value === "answer") return data.truth[clip] === now.predicted[place] ? "right" : "wrong";
    return data.columns[by.value][clip] ?? UNKNOWN;
  }

  function look(number) {
    const own = { [UNKNOWN]: GREY, right: data.colours[0], wrong: data.colours[1] };
    const colour = by.value === "answer" || values[number] === UNKNOWN ? own[values[number]] : undefined;
    return { colour: colour ?? data.colours[number % data.colours.length], symbol: data.symbols[number % data.symbols.length] };
  }

  // ---- drawing ----

  // Pixels of the whole plane at zoom 1. It fills the canvas, for its axes mean nothing.
  function sides() {
    return { x: canvas.clientWidth - 2 * MARGIN, y: canvas.clientHeight - 2 * MARGIN };
  }

  // Where points lie, in pixels; asked for once for many points, since asking the canvas for its size takes long.
  function placing() {
    const side = sides(), across = side.x * view.zoom, down = side.y * view.zoom;
    const left = canvas.clientWidth / 2 - view.x * across, top = canvas.clientHeight / 2 - view.y * down;
    return (point) => ({ x: left + point.x * across, y: top + point.y * down });
  }

  function outline(target, symbol, r) {
    const corners = {
      square: [[-1, -1], [1, -1], [1, 1], [-1, 1]], diamond: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
      "triangle-up": [[0, -1.2], [1.2, 1], [-1.2, 1]], "triangle-down": [[0, 1.2], [1.2, -1], [-1.2, -1]],
      cross: [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2],
        [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
      x: [[0, -0.5], [0.7, -1.2], [1.2, -0.7], [0.5, 0], [1.2, 0.7], [0.7, 1.2], [0, 0.5], [-0.7, 1.2], [-1.2, 0.7],
        [-0.5, 0], [-1.2, -0.7], [-0.7, -1.2]],
    }[symbol];
    target.beginPath();
    if (corners) corners.forEach(([x, y]) => target.lineTo(x * r, y * r));
    else target.arc(0, 0, r, 0, 2 * Math.PI);
    target.closePath();
  }

  // The pixels of one symbol, drawn once: {dx, dy, and red, green, blue, alpha} of each that isn't empty.
  function stamp(number, radius, density) {
    const { colour, symbol } = look(number), made = document.createElement("canvas"), side = Math.ceil(4 * radius * density);
    made.width = made.height = side;
    const ink = made.getContext("2d");
    ink.translate(side / 2, side / 2);
    ink.scale(density, density);
    outline(ink, symbol, radius);
    ink.fillStyle = colour;
    ink.fill();
    ink.strokeStyle = "#fff";
    ink.lineWidth = 0.8;
    ink.stroke();
    const pixels = ink.getImageData(0, 0, side, side).data, kept = [];
    for (let place = 0; place < side * side; place += 1) {
      const alpha = pixels[4 * place + 3];
      if (alpha) kept.push((place % side) - (side >> 1), Math.floor(place / side) - (side >> 1), ...pixels.subarray(4 * place, 4 * place + 4));
    }
    return Int16Array.from(kept);
  }

  // Lay a stamp's pixels over a white picture's. Copying by hand takes ten thousand points 10 ms where drawImage, on a
  // machine that draws without a graphics card, takes them 120.
  function press(picture, width, height, kept, x, y) {
    for (let place = 0; place < kept.length; place += 6) {
      const across = x + kept[place], down = y + kept[place + 1];
      if (across < 0 || down < 0 || across >= width || down >= height) continue;
      const at = 4 * (down * width + across), alpha = kept[place + 5] / 255, rest = 1 - alpha;
      picture[at] = kept[place + 2] * alpha + picture[at] * rest;
      picture[at + 1] = kept[place + 3] * alpha + picture[at + 1] * rest;
      picture[at + 2] = kept[place + 4] * alpha + picture[at + 2] * rest;
    }
  }

  function draw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; paint(); });
  }

  function paint() {
    const density = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    const picture = pen.createImageData(canvas.width, canvas.height);
    picture.data.fill(255); // white
    const radius = Math.max(2.6, Math.min(6, 130 / Math.sqrt(points.length)));
    const stamps = new Map(values.map((value, number) => [value, stamp(number, radius, density)]));
    const rings = [], onScreen = placing();
    for (const point of points) {
      if (hidden.has(point.value)) continue;
      const at = onScreen(point), x = Math.round(at.x * density), y = Math.round(at.y * density);
      if (x < -99 || y < -99 || x > canvas.width + 99 || y > canvas.height + 99) continue;
      press(picture.data, canvas.width, canvas.height, stamps.get(point.value), x, y);
      if (point.clip === selected || found.has(point.clip)) rings.push([at, point.clip === selected]);
    }
    pen.putImageData(picture, 0, 0);
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.strokeStyle = INK;
    for (const [at, chosen] of rings) {
      pen.lineWidth = chosen ? 3 : 1.6;
      pen.beginPath();
      pen.arc(at.x, at.y, radius + (chosen ? 7 : 4), 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  // ---- moving about ----

  function zoomAt(x, y, factor) {
    const zoom = Math.min(MOST_ZOOM, Math.max(0.5, view.zoom * factor)), side = sides();
    const dx = x - canvas.clientWidth / 2, dy = y - canvas.clientHeight / 2;
    view.x += (dx / side.x) * (1 / view.zoom - 1 / zoom); // what lies under (x, y) stays there
    view.y += (dy / side.y) * (1 / view.zoom - 1 / zoom);
    view.zoom = zoom;
    draw();
  }

  function move(dx, dy) {
    const side = sides();
    view.x -= dx / (side.x * view.zoom);
    view.y -= dy / (side.y * view.zoom);
    draw();
  }

  function nearest(x, y) {
    const onScreen = placing();
    let best = null, least = REACH * REACH;
    for (const point of points) {
      if (hidden.has(point.value)) continue;
      const at = onScreen(point), gap = (at.x - x) ** 2 + (at.y - y) ** 2;
      if (gap <= least) [best, least] = [point, gap];
    }
    return best;
  }

  const held = new Map(); // pointers that are down
  let travelled = 0;

  function inside(event) {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, inside(event));
    if (held.size === 1) travelled = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = inside(event), before = held.get(event.pointerId);
    if (!before) return hover(now);
    const others = [...held].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (others.length) {
      const [other] = others, ratio = Math.hypot(now.x - other.x, now.y - other.y) / (Math.hypot(before.x - other.x, before.y - other.y) || 1);
      zoomAt((now.x + other.x) / 2, (now.y + other.y) / 2, ratio);
      move((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else if (event.pointerType !== "touch" && travelled > DRAG) {
      tip.hidden = true;
      move(now.x - before.x, now.y - before.y);
    }
    held.set(event.pointerId, now);
  });
  canvas.addEventListener("pointerup", (event) => {
    const alone = held.size === 1, at = inside(event);
    held.delete(event.pointerId);
    const point = alone && travelled <= DRAG ? nearest(at.x, at.y) : null;
    if (point) select(point.clip);
  });
  canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  // Without Ctrl the wheel scrolls the page, unless the map has been clicked on.
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    const at = inside(event);
    zoomAt(at.x, at.y, Math.exp(-event.deltaY / 400));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    const factor = { "+": ZOOM, "-": 1 / ZOOM }[event.key];
    if (step) move(...step);
    if (factor) zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, factor);
    if (step || factor) event.preventDefault();
  });

  function hover(at) {
    const point = nearest(at.x, at.y);
    canvas.style.cursor = point ? "pointer" : "grab";
    tip.hidden = !point;
    if (!point) return;
    const now = system(), said = now.predicted[point.place], right = data.truth[point.clip] === said;
    tip.textContent = `${data.truth[point.clip]}${right ? "" : `, taken for ${said}`} (${data.recording[point.clip]}, ${data.start[point.clip]} s)`;
    const place = placing()(point);
    tip.style.left = `${Math.min(place.x + 12, canvas.clientWidth - tip.offsetWidth - 4)}px`;
    tip.style.top = `${Math.max(4, place.y - tip.offsetHeight - 12)}px`;
  }

  // ---- classes and search ----

  function drawChips() {
    const counts = new Map();
    points.forEach((point) => counts.set(point.value, (counts.get(point.value) ?? 0) + 1));
    chips.replaceChildren(...values.map((value, number) => {
      const { colour, symbol } = look(number);
      const chip = node("button", { type: "button", "aria-pressed": String(!hidden.has(value)), class: "chip" });
      const mark = node("i", { "aria-hidden": "true", class: symbol });
      mark.style.setProperty("--colour", colour);
      chip.append(mark, node("span", {}, value), node("small", {}, counts.get(value)));
      chip.addEventListener("click", () => {
        hidden.has(value) ? hidden.delete(value) : hidden.add(value);
        chip.setAttribute("aria-pressed", String(!hidden.has(value)));
        draw();
      });
      return chip;
    }));
  }

  function showAll(on) {
    hidden.clear();
    if (!on) values.forEach((value) => hidden.add(value));
    drawChips();
    draw();
  }

  function seek() {
    const wanted = search.value.trim().toLowerCase();
    const names = (clip) => [data.id[clip], data.truth[clip], data.recording[clip]];
    const hits = wanted ? system().clips.filter((clip) => names(clip).some((name) => name.toLowerCase().includes(wanted))) : [];
    found = new Set(hits);
    const more = hits.length > MOST_HITS ? `; the first ${MOST_HITS} are listed, all are ringed` : "";
    byId("map-found").textContent = !wanted ? "" : hits.length ? `${hits.length} found${more}` : "no clip found";
    byId("map-hits").replaceChildren(...hits.slice(0, MOST_HITS).map((clip) => {
      const item = node("li", {}), button = node("button", { type: "button", class: "link" }, `${data.recording[clip]}, ${data.start[clip]} s`);
      button.addEventListener("click", () => select(clip));
      item.append(button, node("span", { class: "faint" }, ` ${data.truth[clip]}`));
      return item;
    }));
    draw();
  }

  // ---- the clip ----

  function fact(name, value) {
    return value === null || value === undefined || value === "" ? [] : [node("dt", {}, name), node("dd", {}, value)];
  }

  function select(clip) {
    selected = clip;
    const id = data.id[clip], picture = byId(`picture-${id}`), sound = byId(`sound-${id}`);
    tell(clip);
    byId("clip-none").textContent = picture ? "" : data.missing[id] ?? data.silent;
    byId("clip-view").hidden = !picture;
    audio.hidden = !sound;
    if (picture) byId("clip-picture").src = `data:image/webp;base64,${picture.textContent}`;
    byId("clip-picture").alt = `Spectrogram of ${data.recording[clip]} from ${data.start[clip]} s`;
    byId("clip").hidden = false;
    byId("clip-hint").hidden = true;
    audio.pause();
    if (sound) {
      audio.src = `data:audio/mpeg;base64,${sound.textContent}`;
      audio.play().catch(() => {}); // a browser may want a press on the player itself
    } else {
      audio.removeAttribute("src");
    }
    draw();
  }

  function tell(clip) {
    const now = system(), place = now.clips.indexOf(clip);
    const sure = [now.score[place] ?? []].flat().map((score) => `${Math.round(score * 100)} %`).join(", ");
    const answer = place < 0 ? "" : sure ? `${now.predicted[place]} (${sure})` : now.predicted[place];
    byId("clip-title").textContent = data.truth[clip];
    byId("clip-facts").replaceChildren(
      ...fact("answer", answer), ...fact("recording", data.recording[clip]), ...fact("from", `${data.start[clip]} s`),
      ...data.told.flatMap((name) => fact(name, data.columns[name][clip])), ...fact("time", data.time[clip]), ...fact("clip", id(clip)));
  }

  const id = (clip) => data.id[clip];

  function axes() {
    for (const [hertz, place] of data.axes.hertz ?? []) {
      const mark = node("span", { class: "hertz" }, hertz >= 1000 ? `${hertz / 1000} kHz` : `${hertz} Hz`);
      mark.style.top = `${place * 100}%`;
      byId("clip-view").append(mark);
    }
    for (const [second, place] of data.axes.seconds ?? []) {
      const mark = node("span", { class: "second" }, `${second} s`);
      mark.style.left = `${place * 100}%`;
      byId("clip-view").append(mark);
    }
  }

  which.addEventListener("change", () => { load(); seek(); if (selected >= 0) tell(selected); });
  by.addEventListener("change", () => { hidden.clear(); load(); });
  search.addEventListener("input", seek);
  byId("map-all").addEventListener("click", () => showAll(true));
  byId("map-none").addEventListener("click", () => showAll(false));
  byId("map-in").addEventListener("click", () => zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, ZOOM));
  byId("map-out").addEventListener("click", () => zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, 1 / ZOOM));
  byId("map-home").addEventListener("click", () => { view = { zoom: 1, x: 0.5, y: 0.5 }; draw(); });
  new ResizeObserver(draw).observe(plot);
  // Where a clip lies on the canvas, in pixels, for other scripts; null where the shown model hasn't got it.
  plot.placeOf = (clip) => {
    const point = points.find((each) => each.clip === clip);
    return point ? placing()(point) : null;
  };
  axes();
  load();
  plot.dataset.ready = "yes";
})();
