"use strict";
// Values on hover, series on and off, columns sorted, tables as CSV. The page says all it has to say without it.
(() => {
  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const tip = element("div", "", "tip"), dot = element("div", "", "dot");
  tip.hidden = dot.hidden = true;
  document.body.append(tip, dot);

  for (const figure of document.querySelectorAll("figure")) {
    const source = figure.querySelector("script.series"), drawing = figure.querySelector("svg, img");
    if (!source || !drawing) continue;
    const series = JSON.parse(source.textContent), off = new Set();
    const leave = () => { tip.hidden = dot.hidden = true; };
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      let best = null, nearest = 28 * 28;
      for (const one of series) {
        if (off.has(one.name)) continue;
        for (const point of one.points) {
          const x = box.left + point[0] * box.width, y = box.top + point[1] * box.height;
          const distance = (x - event.clientX) ** 2 + (y - event.clientY) ** 2;
          if (distance < nearest) { nearest = distance; best = [one, point, x, y]; }
        }
      }
      if (!best) { leave(); return; }
      const [one, point, x, y] = best;
      tip.replaceChildren(...[one.name, point[2], point[3]].filter(Boolean).map((text, k) => element(k || !one.name ? "div" : "b", text)));
      tip.hidden = dot.hidden = false;
      dot.style.left = `${x}px`; dot.style.top = `${y}px`; dot.style.borderColor = one.colour || "currentColor";
      const width = tip.offsetWidth, edge = document.documentElement.clientWidth;
      tip.style.left = `${Math.max(4, Math.min(x + 12, edge - width - 8))}px`;
      tip.style.top = `${y > 90 ? y - tip.offsetHeight - 10 : y + 14}px`;
    });
    drawing.addEventListener("pointerleave", leave);
    const named = series.filter((one) => one.name && one.ids.length);
    if (named.length > 1 && drawing.tagName.toLowerCase() === "svg") {
      const row = element("div", "", "switches");
      row.setAttribute("role", "group");
      row.setAttribute("aria-label", "Show or hide");
      for (const one of named) {
        const button = element("button", one.name);
        button.type = "button";
        button.setAttribute("aria-pressed", "true");
        button.style.setProperty("--colour", one.colour || "currentColor");
        button.addEventListener("click", () => {
          const hide = !off.has(one.name);
          if (hide) off.add(one.name); else off.delete(one.name);
          button.setAttribute("aria-pressed", String(!hide));
          for (const id of one.ids) {
            const part = document.getElementById(id);
            if (part) part.style.display = hide ? "none" : "";
          }
        });
        row.append(button);
      }
      figure.insertBefore(row, figure.querySelector("figcaption"));
    }
  }

  const powers = { a: -18, f: -15, p: -12, n: -9, "µ": -6, m: -3, k: 3, M: 6, G: 9, T: 12 };
  const times = { s: 1, min: 60, h: 3600, day: 86400, days: 86400, month: 2629800, months: 2629800, year: 31557600, years: 31557600 };
  const value = (text) => {
    const found = /^\s*([-+−]?[\d\u202f\u2009]*\.?\d+(?:e[-+]?\d+)?)\s*([^\s\[]*)/i.exec(text);
    if (!found) return null;
    const number = Number(found[1].replace(/[\u202f\u2009]/g, "").replace("−", "-")), unit = found[2];
    if (unit in times) return number * times[unit];
    return unit.length > 1 && unit[0] in powers && /^.[A-Z]/.test(unit) || unit === "k" || unit === "M" || unit === "ms" || unit === "µs" || unit === "ns"
      ? number * 10 ** powers[unit[0]] : number;
  };
  for (const table of document.querySelectorAll("table.data")) {
    const body = table.tBodies[0], given = [...body.rows];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (given.length < 2) return;
      const button = element("button", head.textContent);
      button.type = "button";
      button.title = "sort";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === "descending" ? "ascending" : now === "ascending" ? null : "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        if (next) head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const rows = next ? [...given].sort((a, b) => {
          const [x, y] = [a, b].map((row) => row.cells[column].textContent.trim());
          if (!x || !y) return x ? -1 : y ? 1 : 0;
          const [p, q] = [value(x), value(y)];
          return sign * (p !== null && q !== null ? p - q : x.localeCompare(y));
        }) : given;
        body.append(...rows);
      });
    });
    const copy = element("button", "copy as CSV", "copy");
    copy.type = "button";
    copy.addEventListener("click", async () => {
      const cell = (text) => {
        const plain = text.trim().replace(/(\d)[\u202f\u2009](?=\d)/g, "$1");
        const safe = /^[=@\t]|^[-+](?![\d.])/.test(plain) ? `'${plain}` : plain;
        return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
      };
      const text = [...table.rows].map((row) => [...row.cells].map((found) => cell(found.textContent)).join(",")).join("\n") + "\n";
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const area = element("textarea");
        area.value = text;
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
      copy.textContent = "copied";
      setTimeout(() => { copy.textContent = "copy as CSV"; }, 1500);
    });
    table.after(copy);
  }

  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
})();
