// Small helpers to build and update elements.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export function $(id) {
  return document.getElementById(id);
}

/** A new element; names that are not among its properties become attributes. Null children are omitted. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

export function svg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function button(className, onclick, ...children) {
  return make("button", {className, type: "button", onclick}, ...children);
}

/** An icon of icons.svg, hidden from screen readers. */
export function icon(name) {
  const element = svg("svg", {class: "icon", "aria-hidden": "true"});
  element.append(svg("use", {href: `/studio/icons.svg#${name}`}));
  return element;
}

export function setIcon(element, name) {
  element.querySelector("use").setAttribute("href", `/studio/icons.svg#${name}`);
}

/** A dot in the colour of a class. */
export function swatch(colour) {
  return make("span", {className: "swatch", style: `--colour: ${colour}`});
}

export function rangeInput(properties, oninput) {
  return make("input", {type: "range", ...properties, oninput});
}

/** A slider with its label, which may begin with other elements, and its value. */
export function sliderField(input, label, ...before) {
  const output = make("output", {id: `${input.id}-value`, htmlFor: input.id});
  return make("div", {className: "field"}, make("label", {htmlFor: input.id}, ...before, label), output, input);
}

/** Sets a slider made by sliderField(), and the text of its value. */
export function showSlider(id, value, text, spoken = text) {
  const input = $(id), output = $(`${id}-value`);
  input.value = value;
  input.setAttribute("aria-valuetext", spoken);
  if (output.textContent !== text) output.textContent = text;
  fillTrack(input);
}

/** Colours the part of a slider's track before its thumb. */
export function fillTrack(input) {
  const share = (input.value - input.min) / (input.max - input.min || 1);
  input.style.setProperty("--filled", `${(100 * share).toFixed(2)}%`);
}

export function progressBar(id, label) {
  const progress = {role: "progressbar", ariaValueMin: "0", ariaValueMax: "100", ariaLabel: label};
  return make("div", {className: "progress-bar", id, ...progress}, make("span"));
}

export function showProgressBar(bar, share) {
  bar.firstChild.style.transform = `scaleX(${share})`;
  bar.ariaValueNow = String(Math.round(100 * share));
}

/** A function that calls `work` once it has not been called for `wait` ms. */
export function debounced(work, wait) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, wait);
  };
}

export function clamp(value, min, max) {
  return Math.min(max, Math.max(min, value));
}

/** Makes the browser download a URL as a file. */
export function download(href, name) {
  const link = make("a", {href, download: name});
  document.body.append(link);
  link.click();
  link.remove();
}
