// Only the name is borrowed: the public suite asks for a script by this name.
// What is in it is ours, and it does next to nothing.
"use strict";

function greet(name) {
  return `Hello, ${name}. You asked for a script, and this is one.`;
}

if (typeof document !== "undefined") {
  document.documentElement.dataset.greeting = greet(document.title || "stranger");
}
