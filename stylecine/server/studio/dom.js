// Short words for what every module does with the page.

const SVG = "http://www.w3.org/2000/svg";

/** The element with that id. */
export function $(id) {
  return document.getElementById(id);
}

/** A new element; properties that are no properties of it become attributes. */
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

/** An icon of icons.svg, unseen by screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/studio/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(element, name) {
  element.querySelector("use").setAttribute("href", `/studio/icons.svg#${name}`);
}

/** Calls `work` once nothing has been asked for `wait` ms. */
export function debounced(work, wait) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, wait);
  };
}

/** A file for the person to keep. */
export function download(href, name) {
  const link = make("a", {href, download: name});
  document.body.append(link);
  link.click();
  link.remove();
}

/** A range input tells its track how much of it is filled. */
export function fill(input) {
  const share = (input.value - input.min) / (input.max - input.min || 1);
  input.style.setProperty("--filled", `${(100 * share).toFixed(2)}%`);
}
