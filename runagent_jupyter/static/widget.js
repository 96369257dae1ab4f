// The page side of the chat, as anywidget loads it: one connection to the kernel, any number of views.
import { ChatView } from "./chat_view.js";
import { Connection } from "./connection.js";

export default () => {
  const connection = new Connection();
  return {
    initialize: ({ model }) => connection.open(model),
    render({ model, el }) {
      const view = new ChatView(model, connection);
      view.mount(el);
      return () => view.unmount();
    },
  };
};
