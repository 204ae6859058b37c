// The script of a report. Texts of results are only ever set as textContent, or drawn on a canvas:
// no text becomes markup. Charts are drawn when they are scrolled to.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const PAGE_ROWS = 20;
  const MORE_ROWS = 500;

  // ------------------------------------------------------------ elements

  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  let isPrinting = false;
  const isDark = () => !isPrinting && matchMedia("(prefers-color-scheme: dark)").matches;
  const colour = (name) => {
    const light = { text: "#1b1f24", quiet: "#57606a", line: "#d0d7de", low: "#e8f0fb", high: "#08306b", page: "#ffffff" };
    const dark = { text: "#e8edf3", quiet: "#a5afbb", line: "#3a424d", low: "#16263d", high: "#a9d0ff", page: "#0e1116" };
    return (isDark() ? dark : light)[name];
  };
  // To be distinguished without seeing all colours (Okabe and Ito).
  const SERIES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#999999"];

  // ------------------------------------------------------------ numbers

  const SCALES = {
    time: [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]],
    size: [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]],
  };
  const FORMS = {
    ns: "time", us: "time", ms: "time", s: "time", duration: "time",
    bytes: "size", B: "size", KiB: "size", MiB: "size", GiB: "size", TiB: "size",
  };

  const formatCount = (value) => {
    if (typeof value === "string") {
      return /^-?\d+$/.test(value) ? BigInt(value).toLocaleString("en") : value;
    }
    const digits = Number.isInteger(value) ? 0 : 2;
    return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };

  const formatAmount = (value, unit) => {
    if (value === null || value === undefined) return "-";
    const scales = SCALES[FORMS[unit]];
    if (!scales) return unit ? `${formatCount(value)} ${unit}` : formatCount(value);
    const number = Number(value);
    if (!Number.isFinite(number)) return String(value);
    const [size, name] = scales.find(([least]) => Math.abs(number) >= least) ?? scales.at(-1);
    const scaled = number / size;
    const text = Math.abs(scaled) < 999.5
      ? String(Number(scaled.toPrecision(3)))
      : scaled.toLocaleString("en", { maximumFractionDigits: 0 });
    return `${text} ${name}`;
  };

  const formatCell = (value, column) => {
    if (column.form === "key") return String(value);
    if (value === null || value === undefined) return "-";
    if (column.form === "share") return `${(100 * value).toFixed(1)} %`;
    if (column.form === "ratio") return typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value);
    if (column.form === "change") {
      const text = formatAmount(value, column.unit);
      return Number(value) > 0 ? `+${text}` : text;
    }
    return formatAmount(value, column.unit);
  };

  const isNumber = (value) => typeof value === "number" || (typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value));

  // Numbers before texts, and what is missing at the end, whatever the direction.
  const compare = (first, second, direction) => {
    const missing = (value) => value === null || value === undefined || value === "";
    if (missing(first) || missing(second)) return Number(missing(first)) - Number(missing(second));
    if (isNumber(first) && isNumber(second)) return direction * (Number(first) - Number(second));
    return direction * String(first).localeCompare(String(second), "en", { numeric: true });
  };

  // ------------------------------------------------------------ tables

  const setUpTable = (holder) => {
    const { columns, rows } = data.tables[Number(holder.dataset.table)];
    const table = holder.querySelector("table");
    const body = table.tBodies[0];
    const state = { sort: Number(holder.dataset.sort), direction: -1, word: "", shown: PAGE_ROWS };
    const count = make("output", { className: "more" });
    const more = make("button", { type: "button" });

    const choose = () => {
      const word = state.word.toLowerCase();
      const chosen = word
        ? rows.filter((row) => row.some((value, number) => columns[number].form === "key" && String(value).toLowerCase().includes(word)))
        : rows.slice();
      // Of changes the largest, whether more or less.
      const size = (value) => (columns[state.sort].form === "change" && value !== null ? Math.abs(Number(value)) : value);
      return chosen.sort((a, b) => compare(size(a[state.sort]), size(b[state.sort]), state.direction));
    };
    const show = () => {
      const chosen = choose();
      const part = document.createDocumentFragment();
      for (const row of chosen.slice(0, state.shown)) {
        const line = document.createElement("tr");
        row.forEach((value, number) => {
          const column = columns[number];
          const cell = make("td", {
            className: column.form === "key" ? "key" : "number",
            textContent: formatCell(value, column),
          });
          if (column.form === "number" && value !== null && FORMS[column.unit]) cell.title = `${value} ${column.unit}`;
          line.append(cell);
        });
        part.append(line);
      }
      body.replaceChildren(part);
      const left = chosen.length - Math.min(state.shown, chosen.length);
      more.hidden = left === 0;
      more.textContent = `Show ${Math.min(left, MORE_ROWS).toLocaleString("en")} more`;
      count.textContent = `${Math.min(state.shown, chosen.length).toLocaleString("en")} of ${chosen.length.toLocaleString("en")} rows`;
      count.hidden = rows.length <= 10; // all are seen at a glance
      heads.forEach((head, number) => {
        head.setAttribute("aria-sort", number !== state.sort ? "none" : state.direction > 0 ? "ascending" : "descending");
        head.firstChild.dataset.mark = "";
        head.firstChild.textContent = columns[number].name + (number !== state.sort ? "" : state.direction > 0 ? " ▲" : " ▼");
      });
    };
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, number) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      button.addEventListener("click", () => {
        state.direction = state.sort === number ? -state.direction : columns[number].form === "key" ? 1 : -1;
        state.sort = number;
        show();
      });
      head.replaceChildren(button);
    });
    more.addEventListener("click", () => {
      state.shown += MORE_ROWS;
      show();
    });
    const tools = make("div", { className: "tools" });
    if (rows.length > 10 && columns.some((column) => column.form === "key")) {
      const word = make("input", { type: "search", size: 24 });
      word.addEventListener("input", () => {
        state.word = word.value;
        show();
      });
      tools.append(make("label", {}, "Keys with ", word));
    }
    holder.querySelector("p.more")?.remove();
    tools.append(count);
    table.closest(".scroll").before(tools);
    table.closest(".scroll").after(more);
    show();
  };

  // ------------------------------------------------------------ charts

  const loaded = new Set();
  // A library is compiled when the first chart needs it; its hash is in the page's policy.
  const need = (name) => {
    if (loaded.has(name)) return;
    loaded.add(name);
    document.head.append(make("script", { textContent: document.getElementById(`library-${name}`).textContent }));
  };

  const fillTable = (figure, columns, rows) => {
    const holder = figure.querySelector(".numbers");
    const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col", textContent: name })));
    const body = rows.map((row) => make("tr", {}, ...row.map((value) => make("td", { textContent: String(value) }))));
    const table = make("table", {}, make("caption", { textContent: figure.querySelector("figcaption").textContent }), make("thead", {}, head), make("tbody", {}, ...body));
    holder.replaceChildren(table);
  };

  const base = () => ({
    animation: false,
    backgroundColor: "transparent",
    color: SERIES,
    textStyle: { color: colour("text"), fontFamily: "system-ui, sans-serif" },
    tooltip: { trigger: "item", renderMode: "richText", confine: true, backgroundColor: colour("page"), borderColor: colour("line"), textStyle: { color: colour("text") } },
  });
  const axis = (extra = {}) => ({
    axisLine: { lineStyle: { color: colour("line") } },
    axisLabel: { color: colour("quiet"), hideOverlap: true, ...(extra.axisLabel ?? {}) },
    splitLine: { lineStyle: { color: colour("line"), opacity: 0.5 } },
    nameTextStyle: { color: colour("quiet") },
    ...Object.fromEntries(Object.entries(extra).filter(([name]) => name !== "axisLabel")),
  });
  const cut = (text, length = 36) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

  const drawChart = (figure, option) => {
    need("echarts");
    const place = figure.querySelector(".canvas");
    const old = echarts.getInstanceByDom(place);
    const chart = old ?? echarts.init(place, null, { renderer: "canvas" });
    chart.setOption(option, true);
    return chart;
  };

  const tools = (figure) => {
    let holder = figure.querySelector(".tools");
    if (!holder) {
      holder = make("div", { className: "tools" });
      figure.querySelector("figcaption").after(holder);
    }
    return holder;
  };

  // Of one run, windows have times of day; of several, the time since each run began.
  const whenOf = (source, number) => (source.runs ? source.starts[number] : source.starts[number].slice(11, 23));

  const charts = {
    bars: (figure) => {
      const { columns, rows } = data.tables[Number(figure.dataset.table)];
      const at = columns.findIndex((column) => column.form !== "key");
      const shown = rows.filter((row) => row[at] !== null).slice(0, 20);
      const labels = shown.map((row) => row.slice(0, at).join(" "));
      const place = figure.querySelector(".canvas");
      place.style.height = `${Math.max(5, 2.5 + 1.5 * shown.length)}rem`;
      place.setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}. The largest: ${labels[0]}, ${formatCell(shown[0][at], columns[at])}.`);
      drawChart(figure, {
        ...base(),
        grid: { left: 8, right: 90, top: 8, bottom: 8, containLabel: true },
        xAxis: axis({ type: "value", axisLabel: { formatter: (value) => formatAmount(value, columns[at].unit) } }),
        yAxis: axis({ type: "category", inverse: true, data: labels.map((label) => cut(label)), axisTick: { show: false } }),
        series: [{
          type: "bar",
          data: shown.map((row) => Number(row[at])),
          label: { show: true, position: "right", color: colour("text"), formatter: (item) => formatCell(shown[item.dataIndex][at], columns[at]) },
          tooltip: { formatter: (item) => `${labels[item.dataIndex]}\n${formatCell(shown[item.dataIndex][at], columns[at])}` },
        }],
      })?.resize();
      fillTable(figure, ["key", columns[at].name], shown.map((row, number) => [labels[number], formatCell(row[at], columns[at])]));
    },

    histogram: (figure) => {
      const source = data.charts[Number(figure.dataset.source)];
      withCells(figure, source, (cell) => {
        const series = seriesOf(source, cell);
        const rows = joinBuckets(series, 60);
        drawChart(figure, {
          ...base(),
          legend: series.length > 1 ? { textStyle: { color: colour("text") }, top: 0 } : undefined,
          tooltip: { ...base().tooltip, trigger: "axis", axisPointer: { type: "shadow" }, formatter: (items) => [`[${formatAmount(rows[items[0].dataIndex].low, source.unit)}, ${formatAmount(rows[items[0].dataIndex].high, source.unit)}]`, ...items.map((item) => `${series.length > 1 ? `${item.seriesName}: ` : ""}${formatCount(item.value)}`)].join("\n") },
          grid: { left: 8, right: 24, top: series.length > 1 ? 36 : 12, bottom: 8, containLabel: true },
          xAxis: axis({ type: "category", data: rows.map((row) => formatAmount(row.low, source.unit)), axisTick: { alignWithLabel: true } }),
          yAxis: axis({ type: "value", axisLabel: { formatter: formatCount } }),
          series: series.map((one, number) => ({ name: one.name, type: "bar", barGap: "0%", barCategoryGap: "8%", data: rows.map((row) => row.counts[number]) })),
        });
        const outside = series.flatMap((one) => [["below all buckets", one.below], ["above all buckets", one.above]].filter(([, count]) => count).map(([words, count]) => `${one.name ? `${one.name}: ` : ""}${formatCount(count)} ${words}`));
        figure.querySelector(".canvas").setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}, ${cell[0]}: ${rows.length} bars. ${outside.join("; ")}`);
        fillTable(figure, ["from", "to", ...series.map((one) => one.name || "count")], [
          ...rows.map((row) => [formatAmount(row.low, source.unit), formatAmount(row.high, source.unit), ...row.counts.map(formatCount)]),
          ...outside.map((text) => [text, "", ...series.map(() => "")]),
        ]);
      });
    },

    percentiles: (figure) => {
      const source = data.charts[Number(figure.dataset.source)];
      const PARTS = [1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100];
      withCells(figure, source, (cell) => {
        const series = seriesOf(source, cell);
        const curves = series.map((one) => PARTS.map((part) => percentile(one, part)));
        const known = curves.flat().filter((value) => value !== null);
        const isWide = known.length > 0 && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) > 30;
        drawChart(figure, {
          ...base(),
          legend: series.length > 1 ? { textStyle: { color: colour("text") }, top: 0 } : undefined,
          tooltip: { ...base().tooltip, trigger: "axis", formatter: (items) => [`${items[0].axisValue} of values are at most`, ...items.map((item) => `${series.length > 1 ? `${item.seriesName}: ` : ""}${formatAmount(item.value, source.unit)}`)].join("\n") },
          grid: { left: 8, right: 24, top: series.length > 1 ? 36 : 12, bottom: 8, containLabel: true },
          xAxis: axis({ type: "category", data: PARTS.map((part) => `${part} %`) }),
          yAxis: axis({ type: isWide ? "log" : "value", axisLabel: { formatter: (value) => formatAmount(value, source.unit) } }),
          series: curves.map((curve, number) => ({ name: series[number].name, type: "line", symbolSize: 7, data: curve, lineStyle: { type: number % 2 ? "dashed" : "solid" } })),
        });
        figure.querySelector(".canvas").setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}, ${cell[0]}: median ${curves.map((curve) => formatAmount(curve[4], source.unit)).join(", ")}; 99 % at most ${curves.map((curve) => formatAmount(curve[8], source.unit)).join(", ")}`);
        fillTable(figure, ["part of values", ...series.map((one) => one.name || "at most")], PARTS.map((part, number) => [`${part} %`, ...curves.map((curve) => formatAmount(curve[number], source.unit))]));
      });
    },

    line: (figure) => {
      const source = data.charts[Number(figure.dataset.source)];
      const runs = source.runs ?? [{ name: "", values: source.values }];
      const label = figure.querySelector("figcaption").textContent;
      const isOne = runs.length === 1 && !runs[0].name;
      drawChart(figure, {
        ...base(),
        legend: isOne ? undefined : { textStyle: { color: colour("text") }, top: 0 },
        tooltip: { ...base().tooltip, trigger: "axis", formatter: (items) => [whenOf(source, items[0].dataIndex), ...items.map((item) => `${isOne ? "" : `${item.seriesName}: `}${formatAmount(runs[item.seriesIndex].values[item.dataIndex], source.unit)}`)].join("\n") },
        grid: { left: 8, right: 24, top: isOne ? 12 : 36, bottom: 8, containLabel: true },
        xAxis: axis({ type: "category", data: source.starts.map((_, number) => whenOf(source, number)) }),
        yAxis: axis({ type: "value", axisLabel: { formatter: (value) => formatAmount(value, source.unit) } }),
        series: runs.map((run, number) => ({ name: run.name, type: "line", showSymbol: run.values.length < 40, lineStyle: { type: number % 2 ? "dashed" : "solid" }, data: run.values })),
      });
      const most = (run) => formatAmount(run.values.reduce((a, b) => (b === null ? a : Math.max(a, b)), -Infinity), source.unit);
      figure.querySelector(".canvas").setAttribute("aria-label", `${label}: ${source.starts.length} windows; ${runs.map((run) => `${run.name} at most ${most(run)}`.trim()).join(", ")}`);
      fillTable(figure, ["window begins", ...runs.map((run) => run.name || "value")], source.starts.map((start, number) => [start, ...runs.map((run) => formatAmount(run.values[number], source.unit))]));
    },

    heat: (figure) => {
      const source = data.charts[Number(figure.dataset.source)];
      const runs = source.runs ?? [{ name: "", points: source.points }];
      const isOne = runs.length === 1 && !runs[0].name;
      const place = figure.querySelector(".canvas");
      const head = isOne ? 12 : 30; // pixels: above each map its run
      const each = Math.max(isOne ? 88 : 60, 40 + source.rows.length * 15.2);
      place.style.height = `${runs.length * (head + each) + 60}px`;
      const all = runs.flatMap((run) => run.points.map((point) => Number(point[2])));
      const most = all.reduce((a, b) => Math.max(a, b), 0);
      const least = all.reduce((a, b) => Math.min(a, b), 0);
      drawChart(figure, {
        ...base(),
        title: runs.map((run, number) => ({ show: !isOne, text: run.name, left: 0, top: number * (head + each) + 6, textStyle: { color: colour("text"), fontSize: 13 } })),
        tooltip: { ...base().tooltip, formatter: (item) => `${isOne ? "" : `${runs[item.seriesIndex].name}, `}${whenOf(source, item.value[0])}\n${source.rows[item.value[1]]}\n${formatAmount(runs[item.seriesIndex].points[item.dataIndex][2], source.unit)}` },
        grid: runs.map((_, number) => ({ left: 8, right: 24, top: number * (head + each) + head, height: each, containLabel: true })),
        xAxis: runs.map((_, number) => axis({ gridIndex: number, type: "category", data: source.starts.map((_, at) => whenOf(source, at)), splitArea: { show: false } })),
        yAxis: runs.map((_, number) => axis({ gridIndex: number, type: "category", data: source.rows.map((row) => cut(row)), axisTick: { show: false } })),
        visualMap: { min: least, max: most || 1, calculable: true, orient: "horizontal", left: "center", bottom: 4, itemWidth: 14, inRange: { color: [colour("low"), colour("high")] }, textStyle: { color: colour("quiet") }, formatter: (value) => formatAmount(Math.round(value), source.unit) },
        series: runs.map((run, number) => ({ type: "heatmap", xAxisIndex: number, yAxisIndex: number, progressive: 0, data: run.points.map((point) => [point[0], point[1], Number(point[2])]) })),
      }).resize();
      const highest = (run) => formatAmount(run.points.reduce((a, b) => Math.max(a, Number(b[2])), 0), source.unit);
      place.setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}: ${source.rows.length} rows, ${source.starts.length} windows; ${runs.map((run) => `${run.name} at most ${highest(run)}`.trim()).join(", ")}`);
      const rows = runs.flatMap((run) => run.points.map(([x, y, value]) => [source.starts[x], ...(isOne ? [] : [run.name]), source.rows[y], formatAmount(value, source.unit)]));
      fillTable(figure, ["window begins", ...(isOne ? [] : ["run"]), "row", "value"], rows.slice(0, 5000));
    },

    flow: (figure) => {
      const links = data.flows[Number(figure.dataset.flow)];
      const kept = new Set(["kept", "recorded", "delivered", "fired", "entered", "started", "ended", "happened"]);
      const lost = new Set(links.filter((link) => link[3]).map((link) => link[1]));
      const names = [...new Set(links.flatMap((link) => [link[0], link[1]]))];
      const total = (name) => {
        const into = links.filter((link) => link[1] === name);
        return (into.length ? into : links.filter((link) => link[0] === name)).reduce((sum, link) => sum + Number(link[2]), 0);
      };
      const shade = (name) => (lost.has(name) ? "#d55e00" : kept.has(name) ? "#0072b2" : "#8a94a0");
      const place = figure.querySelector(".canvas");
      place.style.height = `${Math.max(8, 3.2 * links.length * 0.55 + 5)}rem`;
      drawChart(figure, {
        ...base(),
        tooltip: { ...base().tooltip, formatter: (item) => (item.dataType === "edge" ? `${item.data.source} → ${item.data.target}\n${formatCount(item.data.value)}` : `${item.name}\n${formatCount(total(item.name))}`) },
        series: [{
          type: "sankey",
          left: 8, right: 230, top: 12, bottom: 12,
          nodeAlign: "left",
          draggable: false,
          emphasis: { focus: "adjacency" },
          label: { color: colour("text"), formatter: (item) => `${item.name}: ${formatCount(total(item.name))}` },
          lineStyle: { color: "target", opacity: 0.35 },
          data: names.map((name) => ({ name, itemStyle: { color: shade(name) } })),
          links: links.map(([source, target, value]) => ({ source, target, value: Number(value) })),
        }],
      }).resize();
      place.setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}: ${links.map((link) => `${link[0]} to ${link[1]} ${formatCount(link[2])}`).join("; ")}`);
      fillTable(figure, ["from", "to", "events", ""], links.map(([source, target, value, isLoss]) => [source, target, formatCount(value), isLoss ? "lost" : ""]));
    },

    flame: (figure) => {
      const source = data.charts[Number(figure.dataset.source)];
      need("echarts");
      need("d3");
      need("flame");
      const place = figure.querySelector(".canvas");
      place.removeAttribute("role");
      const holder = tools(figure);
      const search = make("input", { type: "search", size: 24 });
      const reset = make("button", { type: "button", textContent: "Reset zoom" });
      const found = make("output");
      const detail = make("p", { className: "detail" });
      const runs = source.runs;
      const frames = source.nodes.map(([, name, ...values]) => {
        const numbers = values.map(Number);
        return { n: name, v: numbers.reduce((sum, one) => sum + one, 0), each: numbers, c: [] };
      });
      source.nodes.forEach(([parent], number) => parent >= 0 && frames[parent].c.push(frames[number]));
      const all = frames[0].v;
      // How much more the second run has than the first, as the first would have in its time.
      const ratio = ([first, second]) => (first ? second / (first * source.scale) : Infinity);
      const ratioText = (each) => (each[0] ? (each[1] ? `${runs[1]} / ${runs[0]} ${ratio(each).toPrecision(3)}` : "gone") : "new");
      const amounts = (each) => each.map((value, run) => `${runs[run]} ${formatAmount(value, source.unit)}`).join(", ");
      const words = ({ data: frame }) => (runs
        ? `${frame.n}: ${amounts(frame.each)}, ${ratioText(frame.each)}`
        : `${frame.n}: ${formatAmount(frame.v, source.unit)} (${(100 * frame.v / all).toFixed(2)} %)`);
      // From blue (a quarter, or less) over grey to orange (four times, or more); text stays dark.
      const changeColour = (each) => {
        const step = Math.max(-1, Math.min(1, Math.log2(ratio(each)) / 2));
        const [grey, far] = [[226, 226, 222], step < 0 ? [86, 180, 233] : [240, 150, 40]];
        return `rgb(${grey.map((from, part) => Math.round(from + Math.abs(step) * (far[part] - from))).join(", ")})`;
      };
      const graph = flamegraph.default()
        .width(Math.max(320, place.clientWidth))
        .cellHeight(18)
        .minFrameSize(1)
        .transitionDuration(matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 200)
        .sort(true)
        .selfValue(false)
        .onHover((node) => { detail.textContent = words(node); })
        .onClick(() => setTimeout(reach, 450));
      if (runs) graph.setColorMapper((node) => (node.highlight ? "#ee00ee" : changeColour(node.data.each)));
      graph.setLabelHandler(words);
      graph.setDetailsHandler(() => {});
      graph.setSearchHandler((_results, sum, total) => {
        found.textContent = search.value ? `${formatAmount(sum, source.unit)} of ${formatAmount(total, source.unit)} (${(100 * sum / total).toFixed(1)} %)` : "";
      });
      graph.setSearchMatch((node, word) => node.data.n.toLowerCase().includes(word.toLowerCase()));
      // Frames that are wide enough to be read can be reached and chosen by keys.
      const reach = () => {
        for (const frame of place.querySelectorAll("g.frame")) {
          const node = d3.select(frame).datum();
          const isWide = Number(frame.querySelector("rect").getAttribute("width")) > 35;
          frame.setAttribute("tabindex", isWide ? "0" : "-1");
          frame.setAttribute("role", "button");
          frame.setAttribute("aria-label", words(node));
        }
      };
      place.replaceChildren();
      d3.select(place).datum(frames[0]).call(graph);
      place.addEventListener("keydown", (event) => {
        const frame = event.target.closest?.("g.frame");
        if (frame && (event.key === "Enter" || event.key === " ")) {
          event.preventDefault();
          frame.dispatchEvent(new MouseEvent("click", { bubbles: true }));
        }
      });
      place.addEventListener("focusin", (event) => {
        const frame = event.target.closest?.("g.frame");
        if (frame) detail.textContent = words(d3.select(frame).datum());
      });
      search.addEventListener("input", () => (search.value ? graph.search(search.value) : (graph.clear(), (found.textContent = ""))));
      reset.addEventListener("click", () => {
        graph.resetZoom();
        setTimeout(reach, 450);
      });
      detail.setAttribute("aria-live", "polite");
      holder.replaceChildren(make("label", {}, "Search ", search), found, reset);
      place.after(detail);
      setTimeout(reach, 450);
      const heads = runs ? [...runs, `${runs[1]} / ${runs[0]}`] : ["value"];
      fillTable(figure, ["call path, from the outermost call", ...heads], source.hottest.map(([path, ...values]) => [
        path.split(";").join(" → "),
        ...values.map((value) => formatAmount(value, source.unit)),
        ...(runs ? [ratioText(values.map(Number))] : []),
      ]));
    },
  };

  // ------------------------------------------------------------ histograms

  // One run has [label, below, above, buckets]; several have [label, [[below, above, buckets] or null, …]].
  const seriesOf = (source, cell) => {
    if (!source.runs) return [{ name: "", below: cell[1], above: cell[2], buckets: cell[3] }];
    return source.runs.map((name, number) => {
      const part = cell[1][number] ?? [0, 0, []];
      return { name, below: part[0], above: part[1], buckets: part[2] };
    });
  };

  const withCells = (figure, source, draw) => {
    if (source.cells.length > 1 && !figure.querySelector("select")) {
      const choice = make("select", {}, ...source.cells.map((cell, number) => make("option", { value: String(number), textContent: cut(cell[0], 80) })));
      choice.addEventListener("change", () => draw(source.cells[Number(choice.value)]));
      tools(figure).append(make("label", {}, "Key ", choice));
    }
    draw(source.cells[Number(figure.querySelector("select")?.value ?? 0)]);
  };

  // All buckets from the first to the last, joined to at most `most` bars; empty ones between are
  // shown where buckets have the same width.
  const joinBuckets = (series, most) => {
    const edges = new Map();
    series.forEach((one, number) => {
      for (const [low, high, count] of one.buckets) {
        if (!edges.has(high)) edges.set(high, { low, high, counts: series.map(() => 0) });
        edges.get(high).counts[number] += Number(count);
      }
    });
    const rows = [...edges.values()].sort((a, b) => a.high - b.high);
    const size = Math.ceil(rows.length / most) || 1;
    const joined = [];
    for (let start = 0; start < rows.length; start += size) {
      const part = rows.slice(start, start + size);
      joined.push({ low: part[0].low, high: part.at(-1).high, counts: series.map((_, number) => part.reduce((sum, row) => sum + row.counts[number], 0)) });
    }
    return joined;
  };

  // Nearest rank, at the middle of its bucket, as in the log; null: outside of all buckets.
  const percentile = (one, part) => {
    const inside = one.buckets.reduce((sum, bucket) => sum + Number(bucket[2]), 0);
    const total = inside + Number(one.below) + Number(one.above);
    if (!total) return null;
    const rank = Math.max(1, Math.ceil((total * Math.round(part * 1000)) / 100000));
    let seen = Number(one.below);
    if (rank <= seen) return null;
    for (const [low, high, count] of one.buckets) {
      seen += Number(count);
      if (seen >= rank) return low === high ? low : (low + high) / 2;
    }
    return null;
  };

  // ------------------------------------------------------------ the page

  const drawn = new Set();
  const draw = (figure) => {
    if (drawn.has(figure)) return;
    drawn.add(figure);
    try {
      charts[figure.dataset.chart](figure);
    } catch (error) {
      figure.querySelector(".canvas").textContent = "This chart could not be drawn; the tables have its numbers.";
      throw error;
    }
  };
  const figures = [...document.querySelectorAll("figure.chart")];
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        observer.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "200px" });

  const redraw = () => {
    for (const figure of drawn) {
      if (figure.dataset.chart !== "flame") charts[figure.dataset.chart](figure);
    }
  };

  for (const holder of document.querySelectorAll("[data-table].sortable")) setUpTable(holder);
  for (const figure of figures) {
    figure.querySelector("details").classList.add("as-table");
    figure.querySelector("details").addEventListener("toggle", () => draw(figure));
    observer.observe(figure);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    isPrinting = true;
    figures.forEach(draw);
    redraw();
  });
  addEventListener("afterprint", () => {
    isPrinting = false;
    redraw();
  });
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const figure of drawn) {
        if (figure.dataset.chart !== "flame") echarts.getInstanceByDom(figure.querySelector(".canvas"))?.resize();
      }
    }, 150);
  });
  performance.mark("report-ready");
  document.documentElement.dataset.ready = "true";
})();
