// Fills dialogs, and asks before changes are lost.

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

/** Asks before changes are lost; returns "leave", "save" or "stay". */
export function askBeforeLeaving(title, leave) {
  const dialog = $("confirm-dialog");
  const answer = (className, value, label) => button(className, () => dialog.close(value), label);
  dialog.returnValue = "";
  const footer = [
    answer("ghost", "stay", "Cancel"), answer("outline danger", "leave", leave), answer("primary", "save", "Save"),
  ];
  const text = "Your changes are not saved. Saving keeps the photo and its changes in a .cine file.";
  fillDialog(dialog, title, [make("p", {}, text)], {footer, closable: false});
  dialog.showModal();
  footer.at(-1).focus();
  return new Promise(done => dialog.addEventListener("close", () => done(dialog.returnValue || "stay"), {once: true}));
}
