const field=document.getElementById("filter"),count=document.getElementById("count"),all=count.textContent;
const rows=[...document.querySelectorAll("#entries tr")].map(row=>[row,row.cells[0].textContent.toLowerCase()]);
function filter(){
const wanted=field.value.toLowerCase();
let shown=0;
for(const [row,name] of rows)if(!(row.hidden=!name.includes(wanted)))++shown;
count.textContent=wanted?`${shown} of ${rows.length} match`:all;
}
field.hidden=false;
field.addEventListener("input",filter);
addEventListener("keydown",event=>{
if(event.key=="/"&&!event.ctrlKey&&!event.metaKey&&event.target!=field){event.preventDefault();field.focus();}
});
filter();
