const reduced = matchMedia("(prefers-reduced-motion: reduce)");

// A card plays while the mouse is over it or the keyboard's focus is on it, or until its button is pressed again.
for (const button of document.querySelectorAll(".frame button")) {
  const {tag, loop} = button.dataset;
  const state = {hovered: false, focused: false, pressed: false};
  let shown = null;
  const change = changes => {
    Object.assign(state, changes);
    const plays = state.pressed || (!reduced.matches && (state.hovered || state.focused));
    if (plays && !shown) {
      shown = document.createElement(tag);
      if (tag === "video") Object.assign(shown, {loop: true, muted: true, autoplay: true, playsInline: true});
      if (tag === "img") shown.alt = "";
      Object.assign(shown, {tabIndex: -1, ariaHidden: "true", src: loop});
      button.before(shown);
    } else if (!plays && shown) {
      shown.remove();
      shown = null;
    }
    button.firstElementChild.textContent = plays ? "loop" : "still";
    button.ariaPressed = String(state.pressed);
  };
  const byMouse = ({pointerType}) => pointerType === "mouse";
  button.addEventListener("pointerenter", event => { if (byMouse(event)) change({hovered: true}); });
  button.addEventListener("pointerleave", event => { if (byMouse(event)) change({hovered: false}); });
  button.addEventListener("focus", () => change({focused: button.matches(":focus-visible")}));
  button.addEventListener("blur", () => change({focused: false}));
  button.addEventListener("click", () => change({pressed: !state.pressed}));
}

// Sorted by what the cards have as data; those that lack it come last.
const list = document.querySelector("main ul"), cards = [...list.children], order = document.querySelector("fieldset");
order.addEventListener("change", () => {
  const [by, descending] = order.elements, key = by.value, sign = descending.checked ? -1 : 1;
  const compare = (a, b) => key === "photo" ? a.localeCompare(b, undefined, {numeric: true}) : a - b;
  const has = cards.filter(card => card.dataset[key]);
  has.sort((a, b) => sign * compare(a.dataset[key], b.dataset[key]));
  list.append(...new Set([...has, ...cards]));
});
