import { useParams } from "react-router";

export default function Report() {
    return <h1>Report {useParams().number}</h1>;
}
