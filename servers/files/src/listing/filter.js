const field=document.getElementById("filter");
field.hidden=false;
field.addEventListener("input",()=>{
const wanted=field.value.toLowerCase();
for(const row of document.querySelectorAll("tbody tr"))row.hidden=!row.cells[0].textContent.toLowerCase().includes(wanted);
});
