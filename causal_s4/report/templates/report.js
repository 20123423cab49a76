"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const holder = $("study");
  if (!holder) return;
  const study = JSON.parse(holder.textContent);
  const colours = { treated: "#0b6fb8", control: "#c2410c" };
  const arms = ["treated", "control"];

  // --- writing numbers as the report does ---
  const fixed = (value, digits) => {
    const rounded = Number(Math.round(Number(Math.abs(value) + "e" + digits)) + "e-" + digits);
    const text = (Number.isFinite(rounded) ? rounded : Math.abs(value)).toFixed(digits).replace(".", study.decimal);
    return (value < 0 && Number(rounded) !== 0 ? study.minus : "") + text;
  };
  const to = (low, high) => low + (low.startsWith(study.minus) || high.startsWith(study.minus) ? " to " : study.to) + high;
  const ratio = (value) => (value < 0.005 ? "<0" + study.decimal + "01" : fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0));
  const percent = (value) => fixed(100 * value, 1);

  // --- small drawings ---
  const put = (parent, name, attributes, text) => {
    const node = document.createElementNS(parent.namespaceURI, name);
    for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  const steps = (x, y, times, values) => {
    let path = "M" + x(times[0]).toFixed(1) + " " + y(values[0]).toFixed(1);
    for (let i = 1; i < times.length; i++) path += "H" + x(times[i]).toFixed(1) + "V" + y(values[i]).toFixed(1);
    return path;
  };
  const band = (x, y, curve) => {
    const n = curve.time.length;
    let path = steps(x, y, curve.time, curve.upper);
    for (let i = n - 1; i >= 0; i--) path += "V" + y(curve.lower[i]).toFixed(1) + (i ? "H" + x(curve.time[i]).toFixed(1) : "");
    return path + "Z";
  };
  const indexAt = (curve, time) => {
    let low = 0, high = curve.time.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (curve.time[middle] <= time) low = middle; else high = middle - 1;
    }
    return low;
  };

  // --- survival at any time ---
  const timeTool = () => {
    const slider = $("at"), picture = $("at-picture"), choice = $("at-outcome");
    const boxes = Array.from(document.querySelectorAll("[data-panel]"));
    const outcome = () => study.curves[choice ? Number(choice.value) : 0];
    const when = (time) => fixed(time, 1) + " " + study.unit;
    const draw = () => {
      const shown = outcome(), end = shown.end, time = Math.min(Number(slider.value), end);
      const x = (t) => 40 + (505 * t) / end, y = (s) => 262 - 248 * s;
      picture.replaceChildren();
      for (let tick = 0; tick <= 100; tick += 20) {
        put(picture, "path", { d: "M40 " + y(tick / 100) + "H545", stroke: "#d9e0e6", "stroke-width": 1 });
        put(picture, "text", { x: 32, y: y(tick / 100) + 4, "text-anchor": "end", class: "tick" }, String(tick));
      }
      for (const tick of shown.ticks) put(picture, "text", { x: x(tick), y: 281, "text-anchor": "middle", class: "tick" }, fixed(tick, tick % 1 ? 1 : 0));
      put(picture, "text", { x: 292, y: 298, "text-anchor": "middle", class: "tick" }, study.unit[0].toUpperCase() + study.unit.slice(1) + " since time zero");
      const rows = [], said = [];
      shown.panels.forEach((panel, number) => {
        if (!boxes[number].checked) return;
        const read = {};
        for (const arm of arms) {
          const curve = panel[arm];
          if (!curve) return;
          const solid = number === shown.panels.length - 1;
          if (solid) put(picture, "path", { d: band(x, y, curve), fill: colours[arm], "fill-opacity": 0.15 });
          put(picture, "path", { d: steps(x, y, curve.time, curve.survival), fill: "none", stroke: colours[arm], "stroke-width": solid ? 2.2 : 1.3, "stroke-dasharray": solid ? (arm === "control" ? "9 2.5" : "none") : "2 2.6" });
          const i = indexAt(curve, time);
          read[arm] = { s: curve.survival[i], l: curve.lower[i], u: curve.upper[i] };
          const dot = arm === "treated" ? ["circle", { cx: x(time), cy: y(read[arm].s), r: 4.6 }] : ["rect", { x: x(time) - 4.2, y: y(read[arm].s) - 4.2, width: 8.4, height: 8.4 }];
          put(picture, dot[0], Object.assign(dot[1], { fill: solid ? colours[arm] : "#fff", stroke: colours[arm], "stroke-width": 1.6 }));
        }
        const difference = percent(read.treated.s - read.control.s) + " points";
        rows.push([panel.title, ...arms.map((arm) => percent(read[arm].s) + "% (" + to(percent(read[arm].l), percent(read[arm].u)) + ")"), difference]);
        said.push(panel.title + ": " + percent(read.treated.s) + "% and " + percent(read.control.s) + "%, difference " + difference);
      });
      put(picture, "path", { d: "M" + x(time).toFixed(1) + " 14V262", stroke: "#14202b", "stroke-width": 1 });
      const body = $("at-rows");
      body.replaceChildren();
      for (const row of rows) {
        const line = document.createElement("tr");
        row.forEach((text, column) => {
          const cell = document.createElement(column ? "td" : "th");
          if (column) cell.className = "n"; else cell.scope = "row";
          cell.textContent = text;
          line.append(cell);
        });
        body.append(line);
      }
      $("at-when").textContent = when(time);
      $("at-out").textContent = when(time);
      slider.setAttribute("aria-valuetext", when(time));
      $("at-say").textContent = when(time) + ". " + said.join(". ");
    };
    const fit = () => {
      const shown = outcome();
      slider.max = shown.end;
      slider.step = shown.step;
      slider.value = shown.start;
      draw();
    };
    slider.addEventListener("input", draw);
    for (const box of boxes) box.addEventListener("change", draw);
    if (choice) choice.addEventListener("change", fit);
    fit();
  };

  // --- an unmeasured confounder ---
  const factor = (treated, control, strength) => (strength * treated + 1 - treated) / (strength * control + 1 - control);
  const needed = (target, treated, control) => (target * (1 - control) - (1 - treated)) / (treated - target * control);
  const biasTool = () => {
    const own = study.confounder, picture = $("bias-picture");
    const inputs = { treated: $("bias-treated"), control: $("bias-control"), ratio: $("bias-ratio") };
    const draw = () => {
      const treated = Number(inputs.treated.value), control = Number(inputs.control.value), strength = Math.exp(Number(inputs.ratio.value));
      const by = factor(treated, control, strength);
      const now = { value: own.value / by, lower: own.lower / by, upper: own.upper / by };
      const interval = (of) => ratio(of.value) + " (" + own.level + " " + to(ratio(of.lower), ratio(of.upper)) + ")";
      for (const arm of arms) {
        const text = Math.round(100 * Number(inputs[arm].value)) + "%";
        $("bias-" + arm + "-out").textContent = text;
        inputs[arm].setAttribute("aria-valuetext", text);
      }
      $("bias-ratio-out").textContent = ratio(strength);
      inputs.ratio.setAttribute("aria-valuetext", ratio(strength));
      $("bias-value").textContent = interval(now);
      const covers = (of) => of.lower <= 1 && of.upper >= 1;
      const turned = (now.value - 1) * (own.value - 1) < 0;
      const end = turned ? ", and its direction would turn." : covers(now) === covers(own) ? "." : covers(now) ? ", and its interval would include no effect." : ", and its interval would no longer include no effect.";
      $("bias-sentence").textContent = Math.abs(Math.log(by)) < 1e-9 ? "As frequent in both arms, or without an effect of its own, a factor changes nothing. Move the sliders apart." : "If an unmeasured factor, present in " + Math.round(100 * treated) + "% of patients with " + study.arms.treated + " and " + Math.round(100 * control) + "% of those with " + study.arms.control + ", multiplied the hazard by " + ratio(strength) + ", the hazard ratio for " + own.outcome + " would be " + interval(now) + " rather than " + ratio(own.value) + end;
      picture.replaceChildren();
      const shown = [["Unadjusted", own.naive, "#52616f", false], ["Adjusted", own, "#0b6fb8", true], ["Bias-corrected", now, "#c2410c", true]].filter((row) => row[1]);
      const reach = Math.max(Math.log(2), ...shown.map((row) => Math.abs(Math.log(row[1].value)) * 1.25));
      const x = (value) => 345 + 195 * Math.max(-1, Math.min(1, Math.log(value) / reach));
      for (const tick of [0.1, 0.2, 0.33, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10]) {
        if (Math.abs(Math.log(tick)) > reach) continue;
        put(picture, "path", { d: "M" + x(tick).toFixed(1) + " 6V102", stroke: tick === 1 ? "#14202b" : "#e6ebef", "stroke-width": 1 });
        put(picture, "text", { x: x(tick), y: 120, "text-anchor": "middle", class: "tick" }, String(tick).replace(".", study.decimal));
      }
      shown.forEach((row, number) => {
        const y = 22 + 32 * number;
        put(picture, "text", { x: 130, y: y + 4, "text-anchor": "end", class: "tick" }, row[0]);
        put(picture, "path", { d: "M" + x(row[1].lower).toFixed(1) + " " + y + "H" + x(row[1].upper).toFixed(1), stroke: row[2], "stroke-width": 2 });
        put(picture, "circle", { cx: x(row[1].value), cy: y, r: 5.5, fill: row[3] ? row[2] : "#fff", stroke: row[2], "stroke-width": 1.6 });
      });
      plane(treated, control, strength);
    };
    // --- the plane of what a confounder could be: where the estimate would be 1, and where its interval would touch 1 ---
    const plane = (treated, control, strength) => {
      const map = $("bias-plane"), reach = 1.61;
      const x = (p) => 52 + 470 * p, y = (g) => 130 - (118 * Math.log(g)) / reach;
      map.replaceChildren();
      for (const g of [0.2, 0.33, 0.5, 1, 2, 3, 5]) {
        put(map, "path", { d: "M52 " + y(g).toFixed(1) + "H522", stroke: "#e6ebef", "stroke-width": 1 });
        put(map, "text", { x: 44, y: y(g) + 4, "text-anchor": "end", class: "tick" }, String(g).replace(".", study.decimal));
      }
      for (let p = 0; p <= 100; p += 20) put(map, "text", { x: x(p / 100), y: 266, "text-anchor": "middle", class: "tick" }, p + "%");
      put(map, "text", { x: 287, y: 288, "text-anchor": "middle", class: "tick" }, "Present with " + study.arms.treated);
      put(map, "text", { x: 52, y: -6, class: "tick" }, "Multiplies the hazard by");
      const near = Math.abs(Math.log(own.lower)) < Math.abs(Math.log(own.upper)) ? own.lower : own.upper;
      const lines = [[own.value, "none", 2]].concat(own.lower <= 1 && own.upper >= 1 ? [] : [[near, "5 3", 1.4]]);
      for (const [target, dash, width] of lines) {
        let path = "", down = false;
        for (let i = 0; i <= 400; i++) {
          const p = i / 400, g = needed(target, p, control);
          const inside = Number.isFinite(g) && g > Math.exp(-reach) && g < Math.exp(reach);
          if (inside) path += (down ? "L" : "M") + x(p).toFixed(1) + " " + y(g).toFixed(1);
          down = inside;
        }
        if (path) put(map, "path", { d: path, fill: "none", stroke: "#14202b", "stroke-width": width, "stroke-dasharray": dash });
      }
      for (const mark of own.marks) {
        const cx = x(mark.treated), cy = y(mark.ratio);
        const diamond = put(map, "path", { d: "M" + cx + " " + (cy - 5) + "l5 5l-5 5l-5 -5Z", fill: "#fff", stroke: "#0b6fb8", "stroke-width": 1.5 });
        put(diamond, "title", {}, mark.label);
        put(map, "text", { x: cx + (mark.treated > 0.7 ? -9 : 9), y: cy + 4, "text-anchor": mark.treated > 0.7 ? "end" : "start", class: "mark" }, mark.label);
      }
      put(map, "circle", { cx: x(treated), cy: y(strength), r: 6, fill: "#c2410c", stroke: "#fff", "stroke-width": 1.5 });
    };
    const set = (treated, control, strength) => {
      inputs.treated.value = treated;
      inputs.control.value = control;
      inputs.ratio.value = Math.log(strength);
      draw();
    };
    for (const input of Object.values(inputs)) input.addEventListener("input", draw);
    for (const button of document.querySelectorAll("[data-mark]")) {
      const mark = own.marks[Number(button.dataset.mark)];
      button.addEventListener("click", () => set(mark.treated, mark.control, mark.ratio));
    }
    $("bias-reset").addEventListener("click", () => set(0.2, 0.2, 1));
    $("bias-copy").addEventListener("click", () => {
      const range = document.createRange();
      range.selectNodeContents($("bias-sentence"));
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      let copied = false;
      try { copied = document.execCommand("copy"); } catch (error) { copied = false; }
      $("bias-copied").textContent = copied ? "Copied." : "Selected; copy it with your keyboard.";
    });
    set(0.2, 0.2, 1);
  };

  for (const hidden of document.querySelectorAll(".explore")) hidden.hidden = false;
  if (study.curves.length) timeTool();
  if (study.confounder) biasTool();
  window.addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
})();
