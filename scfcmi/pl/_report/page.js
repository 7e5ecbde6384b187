"use strict";
// Maps of cells. Nothing is fetched, and names reach the page as text only.
(() => {
  const cells = JSON.parse(document.getElementById("cells").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const wide = (text) => {
    const raw = new DataView(bytes(text).buffer);
    return Uint16Array.from({ length: raw.byteLength / 2 }, (_, i) => raw.getUint16(2 * i, true));
  };
  const n = cells.n, x = wide(cells.x), y = wide(cells.y);
  const HIDDEN = 0, BEHIND = 1, SHOWN = 2, EDGE = 10;
  const state = new Uint8Array(n).fill(SHOWN);
  const maps = cells.maps.map((map) => ({ ...map, codes: map.wide ? wide(map.codes) : bytes(map.codes), hidden: new Set() }));
  const clusters = maps[0];
  let lens = null;

  const element = (name, attributes = {}, text = "") => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const count = (number) => number.toLocaleString("en-US");

  // On a dark page, dark colors are lighter: they are made for paper.
  const toned = (color) => {
    const root = document.documentElement;
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches && !("print" in root.dataset);
    const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    const light = (0.3 * parts[0] + 0.6 * parts[1] + 0.1 * parts[2]) / 255;
    if (!dark || light > 0.35) return color;
    const white = (0.45 - light) / (1 - light);
    return `rgb(${parts.map((part) => Math.round(part + (255 - part) * white)).join(" ")})`;
  };

  // A dot of each color, drawn once and then copied.
  const dot = (color, radius) => {
    const side = Math.max(1, Math.ceil(2 * radius));
    const made = element("canvas", { width: side, height: side });
    const pen = made.getContext("2d");
    pen.fillStyle = color;
    if (side < 3) pen.fillRect(0, 0, side, side);
    else {
      pen.arc(side / 2, side / 2, radius, 0, 7);
      pen.fill();
    }
    return made;
  };

  const draw = (map) => {
    const ratio = window.devicePixelRatio || 1, side = map.canvas.clientWidth;
    if (!side) return;
    map.canvas.width = map.canvas.height = Math.round(side * ratio);
    const pen = map.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const gone = style.getPropertyValue("--gone").trim();
    const radius = ratio * Math.min(3.2, Math.max(0.5, Math.sqrt((0.13 * side * side) / n)));
    const scale = (map.canvas.width - 2 * EDGE * ratio) / 65535, start = EDGE * ratio;
    const dots = [...map.colors.map(toned), style.getPropertyValue("--soft").trim()].map((color) => dot(color, radius));
    const gray = dot(gone, radius), half = gray.width / 2;
    const put = (wanted, of) => {
      for (let i = 0; i < n; i++) {
        if (state[i] === wanted) pen.drawImage(of(i), Math.round(start + scale * x[i] - half), Math.round(start + scale * y[i] - half));
      }
    };
    put(BEHIND, () => gray);
    put(SHOWN, (i) => dots[map.codes[i]]);
    if (map !== clusters) return;
    pen.font = `700 ${13 * ratio}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 3 * ratio;
    pen.lineJoin = "round";
    pen.strokeStyle = style.getPropertyValue("--paper").trim();
    pen.fillStyle = style.getPropertyValue("--ink").trim();
    for (const [code, across, down] of cells.names) {
      if (map.hidden.has(code) || (lens !== null && lens !== code)) continue;
      const place = [start + across * 65535 * scale, start + down * 65535 * scale];
      pen.strokeText(map.values[code], ...place);
      pen.fillText(map.values[code], ...place);
    }
  };

  const paint = () => {
    for (const map of maps) {
      for (const button of map.legend.querySelectorAll("button")) {
        const color = map.colors[Number(button.dataset.code)];
        button.firstChild.style.background = color === undefined ? "var(--soft)" : toned(color);
      }
      draw(map);
    }
    for (const row of document.querySelectorAll("tr[data-cluster]")) {
      row.querySelector("i").style.background = toned(clusters.colors[Number(row.dataset.cluster)]);
    }
    for (const part of document.querySelectorAll("[data-batch]")) {
      part.style.background = toned(maps[1].colors[Number(part.dataset.batch)]);
    }
  };

  const update = () => {
    let shown = 0;
    for (let i = 0; i < n; i++) {
      const gone = maps.some((map) => map.hidden.has(map.codes[i]));
      state[i] = gone ? HIDDEN : lens !== null && clusters.codes[i] !== lens ? BEHIND : SHOWN;
      if (state[i] === SHOWN) shown++;
    }
    for (const map of maps) {
      for (const button of map.legend.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", !map.hidden.has(Number(button.dataset.code)));
      }
    }
    for (const row of document.querySelectorAll("tr[data-cluster]")) {
      const on = Number(row.dataset.cluster) === lens;
      row.classList.toggle("lens", on);
      row.querySelector("button").setAttribute("aria-pressed", on);
    }
    const part = n < cells.total ? ` (a sample of ${count(cells.total)})` : "";
    document.getElementById("shown").textContent = `${count(shown)} of ${count(n)} cells shown${part}`;
    document.getElementById("all").disabled = shown === n;
    paint();
  };

  const look = (code) => {
    lens = lens === code ? null : code;
    if (lens !== null) clusters.hidden.delete(lens);
    update();
  };

  const legend = (map) => {
    const list = element("ul", { class: "legend" });
    map.sizes.forEach((size, code) => {
      if (!size) return;
      const none = code === map.values.length;
      const button = element("button", { type: "button", "data-code": code });
      button.append(element("i"), element("span", {}, none ? "(none)" : map.values[code]), element("small", {}, count(size)));
      button.addEventListener("click", (event) => {
        if (event.shiftKey) {
          const others = map.sizes.map((_, other) => other).filter((other) => other !== code && map.sizes[other]);
          const alone = !map.hidden.has(code) && others.every((other) => map.hidden.has(other));
          map.hidden = new Set(alone ? [] : others);
        } else if (!map.hidden.delete(code)) map.hidden.add(code);
        update();
      });
      const item = element("li");
      item.append(button);
      list.append(item);
    });
    return list;
  };

  // The cluster of the nearest cell that is shown, within eight pixels.
  const pick = (map, event) => {
    const scale = (map.canvas.clientWidth - 2 * EDGE) / 65535;
    let best = 64, found = null;
    for (let i = 0; i < n; i++) {
      if (state[i] === HIDDEN) continue;
      const away = (EDGE + scale * x[i] - event.offsetX) ** 2 + (EDGE + scale * y[i] - event.offsetY) ** 2;
      if (away < best) [best, found] = [away, clusters.codes[i]];
    }
    if (found !== null && found < clusters.values.length) look(found);
    else if (lens !== null) look(lens);
  };

  for (const map of maps) {
    const figure = element("figure");
    map.canvas = element("canvas", { role: "img", "aria-label": `Map of cells by ${map.column}` });
    map.legend = legend(map);
    map.canvas.addEventListener("click", (event) => pick(map, event));
    figure.append(element("figcaption", {}, map.column), map.canvas, map.legend);
    document.getElementById("maps").append(figure);
  }
  for (const row of document.querySelectorAll("tr[data-cluster]")) {
    row.addEventListener("click", () => look(Number(row.dataset.cluster)));
  }
  document.getElementById("all").addEventListener("click", () => {
    lens = null;
    for (const map of maps) map.hidden.clear();
    update();
  });

  window.addEventListener("resize", paint);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  // Paper is white, whatever the screen is.
  window.addEventListener("beforeprint", () => {
    document.documentElement.dataset.print = "";
    paint();
  });
  window.addEventListener("afterprint", () => {
    delete document.documentElement.dataset.print;
    paint();
  });
  update();
})();
