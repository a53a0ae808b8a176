// One question with two answers; the promise says whether it was the bold one.

import {$, make} from "./dom.js";

export function ask(title, words, yes, no = "Cancel") {
  const dialog = $("ask-dialog");
  const button = (className, value, text) => {
    const made = make("button", {className, type: "button", value}, text);
    made.addEventListener("click", () => dialog.close(value));
    return made;
  };
  dialog.returnValue = "";
  dialog.replaceChildren(
    make("div", {className: "dialog-head"}, make("h2", {id: "ask-title"}, title)),
    make("div", {className: "dialog-body"}, make("p", {}, words)),
    make("div", {className: "dialog-foot"}, button("quiet", "no", no), button("outline danger", "yes", yes)),
  );
  dialog.showModal();
  return new Promise(done => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), {once: true}));
}
