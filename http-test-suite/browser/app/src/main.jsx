import { StrictMode, Suspense, lazy } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter, Link, Route, Routes } from "react-router";
import "./style.css";

const Report = lazy(() => import("./Report.jsx"));
const Settings = lazy(() => import("./Settings.jsx"));

createRoot(document.getElementById("root")).render(
    <StrictMode>
        <BrowserRouter>
            <nav><Link to="/">Home</Link> <Link to="/reports/7">Report</Link> <Link to="/settings">Settings</Link></nav>
            <p id="version">version {__VERSION__}</p>
            <Suspense fallback={<p>Loading</p>}>
                <Routes>
                    <Route path="/" element={<h1>Home</h1>} />
                    <Route path="/reports/:number" element={<Report />} />
                    <Route path="/settings" element={<Settings />} />
                    <Route path="*" element={<h1>Nothing here</h1>} />
                </Routes>
            </Suspense>
        </BrowserRouter>
    </StrictMode>,
);
