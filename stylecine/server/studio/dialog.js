// Fills dialogs, and asks for confirmation.

import {$, button, icon, make} from "./dom.js";

/** Fills a dialog: its title, with a close button if it is closable, its body and its buttons. */
export function fillDialog(dialog, title, body, {footer = [], closable = true} = {}) {
  const head = make("div", {className: "dialog-head"}, make("h2", {id: `${dialog.id}-title`}, title));
  if (closable) {
    const close = button("ghost icon-only close", () => dialog.close(), icon("close"));
    close.ariaLabel = "Close";
    head.append(close);
  }
  dialog.replaceChildren(head, make("div", {className: "dialog-body"}, ...body));
  if (footer.length) dialog.append(make("div", {className: "dialog-foot"}, ...footer));
}

/** Asks for confirmation; returns whether the button `yes` was pressed. */
export function confirmed(title, text, yes) {
  const dialog = $("confirm-dialog");
  const answer = (className, value, label) => button(className, () => dialog.close(value), label);
  dialog.returnValue = "";
  const footer = [answer("ghost", "no", "Cancel"), answer("outline danger", "yes", yes)];
  fillDialog(dialog, title, [make("p", {}, text)], {footer, closable: false});
  dialog.showModal();
  return new Promise(done => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), {once: true}));
}
