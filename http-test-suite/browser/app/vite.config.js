import react from "@vitejs/plugin-react";

export default { plugins: [react()], define: { __VERSION__: JSON.stringify(process.env.VERSION) } };
